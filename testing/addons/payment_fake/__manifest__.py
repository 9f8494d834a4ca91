{
    "name": "Payment Provider: Fake",
    "version": "19.0.1.0.0",
    "summary": "For tests only: talks to testing/fake_provider.py and dies at given points",
    "category": "Hidden",
    "author": "Subscription Close Renew contributors",
    "license": "LGPL-3",
    "depends": ["account_payment", "payment", "subscription_close_renew"],
    "data": [
        "data/payment_method_data.xml",
        "data/payment_provider_data.xml",
    ],
    "post_init_hook": "post_init_hook",
    "installable": True,
}
