"""Stored payment methods, charges and their outcomes, retries, and payments whose outcome is unknown."""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import payment_token
from . import payment_provider
from . import payment_transaction
from . import account_payment
from . import account_move
from . import account_move_line
from . import sale_subscription_period
from . import sale_order
from . import sale_order_line
