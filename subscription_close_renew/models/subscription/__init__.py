"""What a subscription is: a sales order with a recurring plan, its states and dates, who may change it, who is notified.

Scheduled actions and mails of all rooms go through the runner and the helpers here.
"""

# The order is that in which Odoo applies the classes: what is overridden comes first.
# isort: off
from . import sale_subscription_guard_mixin
from . import sale_subscription_notice_mixin
from . import res_company
from . import res_config_settings
from . import sale_order
from . import sale_order_dates
from . import sale_order_cancelling
from . import sale_order_line
# The check of rights comes before any other check of what is written.
from . import sale_order_access
from . import sale_subscription_plan
from . import product_template
from . import sale_order_attention
from . import sale_order_mail
from . import sale_order_scheduled
from . import res_users
from . import ir_module_module
