"""Recurring plans, and the prices of subscription products with each plan."""

# Odoo applies the classes in this order: overridden classes come first.
# isort: off
from . import sale_subscription_shared_mixin
from . import sale_subscription_plan
from . import product_template
from . import product_pricelist
