"""The customer portal, and the public page that closes subscriptions without a login."""

# Odoo applies the classes in this order: overridden classes come first.
# isort: off
from . import ir_http
from . import res_company
from . import sale_subscription_close_request
from . import res_config_settings
from . import sale_order_close_reason
from . import sale_order
from . import sale_order_closing
from . import sale_order_renewing
