from . import sale_order, sale_subscription_plan
