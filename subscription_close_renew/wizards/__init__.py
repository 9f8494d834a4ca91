from . import (
    account_move_reversal,
    account_payment_register,
    sale_subscription_close_wizard,
    sale_subscription_pause_wizard,
    sale_subscription_renew_wizard,
    sale_subscription_resolve_wizard,
)
