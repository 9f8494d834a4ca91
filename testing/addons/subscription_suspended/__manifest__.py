{
    "name": "Suspended Subscriptions",
    "version": "19.0.1.0.0",
    "summary": "For tests: a state, two events, a kind of movement and a close policy of another addon",
    "category": "Hidden",
    "author": "Subscription Close Renew contributors",
    "license": "LGPL-3",
    "depends": ["subscription_close_renew"],
}
