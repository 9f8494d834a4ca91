"""Monthly recurring revenue: the ledger of its movements, the check of the ledger, the timeline, and retention."""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import sale_subscription_currency_mixin
from . import sale_subscription_movement
from . import sale_subscription_retention
from . import sale_order
from . import sale_order_timeline
from . import sale_order_check
