"""Closing subscriptions with a reason, now or later; keeping those scheduled to close; reopening closed ones."""

# Odoo applies the classes in this order: overridden code comes first.
# isort: off
from . import sale_order_close_reason
from . import sale_subscription_movement
from . import sale_order
