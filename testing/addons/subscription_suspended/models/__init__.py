from . import sale_order, sale_subscription_movement, sale_subscription_report
