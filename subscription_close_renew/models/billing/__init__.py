"""Billed periods, their invoices, and how these are sent. Billing does not depend on payments."""

# Odoo applies the classes in this order: overridden classes come first.
# isort: off
from . import sale_subscription_period
from . import sale_order_period
from . import sale_order_line
from . import sale_order
from . import account_move
from . import account_move_line
from . import account_move_send
from . import ir_cron
from . import res_config_settings
