"""Stored payment methods, charges and their outcomes, retries, and payments whose outcome is unknown."""

# Odoo applies the classes in this order: overridden code comes first.
# isort: off
from . import payment_token
from . import payment_provider
from . import payment_transaction
from . import account_payment
from . import account_move
from . import account_move_line
from . import sale_subscription_period
from . import sale_subscription_period_retries
from . import sale_order
from . import sale_order_line
