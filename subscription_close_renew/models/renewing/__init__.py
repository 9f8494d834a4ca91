"""Renewal quotations, terms, the actions at the end of a term, and automatic renewal."""

# Odoo applies the classes in this order: overridden code comes first.
# isort: off
from . import sale_order
from . import sale_order_line
from . import sale_order_term
