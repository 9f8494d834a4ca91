"""The core of a subscription: a sales order with a recurring plan, its states and dates, access rights and notifications.

The runner and the helpers here serve the scheduled actions and mails of all rooms.
"""

# Odoo applies the classes in this order: overridden classes come first.
# isort: off
from . import sale_subscription_guard_mixin
from . import sale_subscription_notice_mixin
from . import res_company
from . import res_config_settings
from . import sale_order_access
from . import sale_order
from . import sale_order_dates
from . import sale_order_cancelling
from . import sale_order_line
from . import sale_subscription_plan
from . import product_template
from . import sale_order_attention
from . import sale_order_mail
from . import sale_order_scheduled
from . import res_users
from . import ir_module_module
