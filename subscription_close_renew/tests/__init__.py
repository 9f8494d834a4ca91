from . import (
    common,
    test_access,
    test_close_reason,
    test_closing,
    test_mrr,
    test_pausing,
    test_period,
    test_plan,
    test_pricing,
    test_recurrence,
    test_sale_order,
    test_tours,
)
