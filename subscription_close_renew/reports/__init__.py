from . import sale_subscription_report
