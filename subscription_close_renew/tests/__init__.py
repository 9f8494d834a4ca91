from . import common, test_closing, test_mrr, test_pricing, test_recurrence, test_sale_order, test_tours
