"""Recurring plans, and what subscription products cost with each of them."""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import sale_subscription_shared_mixin
from . import sale_subscription_plan
from . import product_template
from . import product_pricelist
from . import product_pricelist_item
