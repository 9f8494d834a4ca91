"""Closing with a reason, now or later; keeping a subscription that is about to close; reopening one that is closed."""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import sale_order_close_reason
from . import sale_subscription_movement
from . import sale_order
