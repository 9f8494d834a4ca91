"""Pausing a subscription, and resuming it."""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import sale_order
