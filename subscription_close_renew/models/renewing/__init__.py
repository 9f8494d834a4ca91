"""Renewal quotations, terms and what happens at their end, and automatic renewal."""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import sale_order
from . import sale_order_line
from . import sale_order_term
