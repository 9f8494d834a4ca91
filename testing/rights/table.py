"""The reference of who may do what with a subscription that belongs to somebody else.

Who tries:

* ``owner``: the salesperson of the order, limited to own documents; for comparison, to prove that each attempt is real
* ``nobody``: not logged in
* ``stranger``: a customer in the portal, of another company
* ``colleague``: a portal user of the customer's company, who sees its orders
* ``invoicing``: invoices and collects, without rights in Sales
* ``own``: another salesperson with own documents
* ``all``: a salesperson with all documents
* ``admin``: an administrator of Sales
* ``abroad``: an administrator of Sales with rights in Invoicing, in another company

Results: ``+`` done, ``-`` no access, ``!`` refused with a message, ``o`` answered without any data of the order.
Any result other than ``+`` leaves all of the customer's records unchanged: order, lines, invoices, payments,
card, periods, MRR, activities, messages and mails.

Each new method, model, field, context key or address needs a row that says who may use it.
"""

METHODS = """
method                                              on         owner nobody stranger colleague invoicing own all admin abroad
sale.order.action_subscription_bill                 due          +     -       -         -         -      -   +    +     -
sale.order.action_subscription_close                order        +     -       -         -         -      -   +    +     -
sale.order.action_subscription_history              order        +     -       -         +         +      -   +    +     -
sale.order.action_subscription_mrr                  order        +     -       -         +         +      -   +    +     -
sale.order.action_subscription_pause                order        +     -       -         -         -      -   +    +     -
sale.order.action_subscription_renew                order        +     -       -         -         -      -   +    +     -
sale.order.action_subscription_resolve_exception    unknown      +     -       -         -         -      -   +    +     -
sale.order.subscription_close                       order        +     -       -         -         -      -   +    +     -
sale.order.subscription_keep                        closing      +     -       -         -         -      -   +    +     -
sale.order.subscription_pause                       order        +     -       -         -         -      -   +    +     -
sale.order.subscription_renew                       renewable    +     -       -         -         -      -   +    +     -
sale.order.subscription_reopen                      churned      !     !       !         !         !      !   !    +     -
sale.order.subscription_resume                      paused       +     -       -         -         -      -   +    +     -
sale.order.action_draft                             cancelled    +     -       -         -         +      -   +    +     -
account.move.button_cancel                          invoice      -     -       -         -         +      -   -    -     -
account.move.button_draft                           invoice      -     -       -         -         +      -   -    -     -
sale.subscription.plan.action_open_subscriptions    plan         +     o       o         o         +      +   +    +     +
sale.subscription.movement.action_check             -            -     -       -         -         -      -   -    +     o
sale.subscription.movement.get_retention            -            +     -       -         -         +      o   +    +     o
sale.subscription.report.action_open_order          row          +     -       -         -         +      -   +    +     !
sale.subscription.close.wizard.action_submit        order        +     -       -         -         -      -   +    +     -
sale.subscription.pause.wizard.action_submit        order        +     -       -         -         -      -   +    +     -
sale.subscription.renew.wizard.action_open_renewals renewable    +     -       -         -         -      -   +    +     -
sale.subscription.renew.wizard.action_submit        renewable    +     -       -         -         -      -   +    +     -
sale.subscription.renew.wizard.renew_next           renewable    +     -       -         -         -      -   +    +     -
sale.subscription.resolve.wizard.action_submit      unknown      +     -       -         -         -      -   +    +     -
"""

COVERED = {
    "account.move.copy": "the attacks: a copy bills nothing of another's",
    "account.move.reversal.reverse_moves": "the attacks: who may credit an invoice, as in Odoo",
    "ir.module.module.button_install": "for those who install modules; see test_incompatibility",
    "res.config.settings.get_values": "for administrators of Odoo",
    "res.config.settings.set_values": "for administrators of Odoo",
    "sale.order.action_confirm": "the attacks: nothing of another's is renewed by confirming",
    "res.users.action_archive": "for administrators of Odoo",
}
"""Methods of Odoo that the addon extends: where they are dealt with."""

BY_TABLES = ("create", "default_get", "unlink", "write")
"""Methods of Odoo that the addon extends and that the tables of models and fields are about."""

MODELS = """
model                             on         owner nobody stranger colleague invoicing own  all  admin abroad
sale.order                        order        crw    .      .       r         rw      c    crw  crw   c
sale.order.line                   line         crw    .      .       r         rw      .    crw  crw   .
payment.token                     card         r      .      .       .         r       .    r    r     .
sale.subscription.period          period       r      .      .       .         r       .    r    r     .
sale.subscription.movement        movement     r      .      .       .         r       .    r    r     .
sale.subscription.report          row          r      .      .       .         r       .    r    r     .
sale.subscription.close.request   request      .      .      .       .         .       .    .    r     .
sale.subscription.plan            plan         r      .      .       .         r       r    r    cr    cr
sale.order.close.reason           reason       r      .      .       .         r       r    r    cr    cr
sale.subscription.close.wizard    pop_ups      crw    .      .       .         .       .    c    c     .
sale.subscription.pause.wizard    pop_ups      crw    .      .       .         .       .    c    c     .
sale.subscription.renew.wizard    pop_ups      crw    .      .       .         .       .    c    c     .
sale.subscription.resolve.wizard  pop_ups      crw    .      .       .         .       c    c    c     c
"""
"""Who may create (c), read (r), write (w) and delete (u) records of a model: those of the customer, or one that names it."""

METHODS_ONLY = "only the methods of a subscription write it"
PEOPLE = "who may sell the subscription writes it"
RECORD = "who may write the record writes it, as the table of models or Odoo says"

FIELDS = {
    "sale.order": {
        METHODS_ONLY: """
            anchor_date auto_renew_on close_by_customer close_reason_id close_requested_on closed_on movement_ids origin_order_id period_ids
            recurring_monthly recurring_total renewal_ids resumed_on set_aside_on subscription_id
            subscription_notice_email subscription_notice_id subscription_state end_date_before_close
        """,
        PEOPLE: """
            end_date next_invoice_date payment_exception payment_token_id plan_by_default plan_id resume_date start_date
            term_end_action term_periods
        """,
    },
    "sale.order.line": {METHODS_ONLY: "is_recurring renewed_line_id"},
    "account.move.line": {METHODS_ONLY: "subscription_id subscription_period_end subscription_period_start"},
    "payment.transaction": {
        RECORD: """
            subscription_amount_mismatch subscription_holds_exception subscription_lookup_on
            subscription_refund_requested_on
        """,
    },
    "payment.token": {RECORD: "subscription_valid_until"},
    "product.pricelist.item": {RECORD: "plan_id"},
    "product.template": {RECORD: "recurring_invoice recurring_pricing_ids"},
    "res.company": {
        RECORD: """
            subscription_default_plan_id subscription_public_closing subscription_responsible_id subscription_tz
        """,
    },
    "res.config.settings": {RECORD: "subscription_billing_workers"},
}
"""Stored fields that the addon adds to models of Odoo, and who writes them: by `write`, on creation, as `default_…` in the
context, or as a default value of their own (`ir.default`)."""

CONTEXT = {
    "force_price_recomputation": "Odoo's own: the prices of a quotation are computed again",
    "include_business_fields": "Odoo's own: what a copy of an invoice keeps; see the attacks",
    "proforma": "Odoo's own: what a mail says",
    "subscription_quotation": "a quotation from the app Subscriptions begins with the default plan",
}
"""Keys of the context that the addon reads although anybody may set them, and what they do."""

SPOKEN = (
    {"tracking_disable": True, "mail_notrack": True, "mail_create_nolog": True, "mail_activity_automation_skip": True},
    {"subscription_close_by_customer": True, "subscription_attempt": True, "subscription_charging": [1, 2]},
    {"subscription_payment_values": {"payment_type": "outbound", "amount": 50000.0, "date": "2020-01-01"}},
    {"renewal_increase": -150},
)
"""What a context from outside may say that is meant for Odoo's own code, or once was for the addon's."""

USED = (
    ("subscription_close", "order"),
    ("subscription_close", "paused"),
    ("subscription_keep", "closing"),
    ("subscription_pause", "order"),
    ("subscription_resume", "paused"),
    ("subscription_renew", "renewable"),
    ("action_subscription_bill", "due"),
)
"""What does the same whatever a context says."""

ROUTES = """
address                                          verb  owner nobody link other_link stranger colleague invoicing own all admin abroad
/my/orders/<int:order_id>/payment-method         GET   -     -      -    -          -        +         -         -   -   -     -
/my/orders/<int:order_id>/payment-method         POST  -     -      -    -          -        +         -         -   -   -     -
/my/subscriptions                                GET   o     -      -    -          o        +         o         o   o   o     o
/my/subscriptions/page/<int:page>                GET   o     -      -    -          o        +         o         o   o   o     o
/my/subscriptions/<int:order_id>                 GET   +     -      +    -          -        +         +         -   +   +     -
/my/subscriptions/<int:order_id>/closing         GET   +     -      +    -          -        +         +         -   +   +     -
/my/subscriptions/<int:order_id>/close           GET   -     -      -    -          -        -         -         -   -   -     -
/my/subscriptions/<int:order_id>/close           POST  -     -      +    -          -        +         -         -   -   -     -
/my/subscriptions/<int:order_id>/keep            GET   -     -      -    -          -        -         -         -   -   -     -
/my/subscriptions/<int:order_id>/keep            POST  -     -      +    -          -        +         -         -   -   -     -
/my/subscriptions/<int:order_id>/not-renewing    GET   +     -      +    -          -        +         +         -   +   +     -
/my/subscriptions/<int:order_id>/do-not-renew    GET   -     -      -    -          -        -         -         -   -   -     -
/my/subscriptions/<int:order_id>/do-not-renew    POST  -     -      +    -          -        +         -         -   -   -     -
/my/subscriptions/<int:order_id>/renew           GET   -     -      -    -          -        -         -         -   -   -     -
/my/subscriptions/<int:order_id>/renew           POST  -     -      +    -          -        +         -         -   -   -     -
/subscriptions/close                             GET   o     o      o    o          o        o         o         o   o   o     o
/subscriptions/close                             POST  o     o      o    o          o        o         o         o   o   o     o
/subscriptions/close/<string:token>              GET   -     -      +    -          -        -         -         -   -   -     -
/subscriptions/close/<string:token>              POST  -     -      +    -          -        -         -         -   -   -     -
/subscriptions/retention/xlsx                    POST  o     -      -    -          -        -         o         o   o   o     o
"""
"""Addresses, with what they are asked by: with ``link``, somebody who is not logged in has the link of our email; with
``other_link``, that of another order."""

VIEWED = "/my/subscriptions/<int:order_id>"
"""Odoo notes in the chatter that the customer has looked at this page, by link."""

FORMS = ("close", "keep", "renew", "do-not-renew")
"""Last parts of the addresses that only a form may call: whatever else asks them is answered with 405."""
