"""Pausing and resuming subscriptions."""

# Odoo applies the classes in this order: overridden code comes first.
# isort: off
from . import sale_order
