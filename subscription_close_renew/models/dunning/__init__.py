"""Warning customers whose invoices stay unpaid, and closing their subscriptions."""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import sale_order_close_reason
from . import sale_subscription_period
from . import sale_order
