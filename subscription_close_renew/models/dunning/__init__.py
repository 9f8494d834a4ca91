"""Warning customers about unpaid invoices, and closing their subscriptions."""

# Odoo applies the classes in this order: overridden code comes first.
# isort: off
from . import sale_order_close_reason
from . import sale_subscription_period
from . import sale_order
