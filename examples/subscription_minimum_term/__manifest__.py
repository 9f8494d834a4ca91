{
    "name": "Subscriptions: Minimum Term",
    "version": "19.0.1.0.0",
    "summary": "Subscriptions that can only be closed after a minimum number of invoiced periods",
    "category": "Sales/Subscriptions",
    "author": "Subscription Close Renew contributors",
    "license": "LGPL-3",
    "depends": ["subscription_close_renew"],
    "data": ["views/sale_subscription_plan_views.xml"],
}
