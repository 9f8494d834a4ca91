"""Indirect attacks that somebody who knows Odoo well may try.

Each is tried by every kind of user for whom it must fail.
"""

import contextlib

from .stage import Forged

OUTSIDE = ("nobody", "stranger", "colleague", "invoicing", "own", "abroad")
SALES = ("owner", "own", "all", "admin", "abroad")
EVERYBODY = ("owner", "nobody", "stranger", "colleague", "invoicing", "own", "all", "admin", "abroad")

ALL, LOOKS = [], []


def attack(*kinds, besides=()):
    """Register an attack with the users who try it and the tables to ignore."""

    def register(function):
        function.kinds, function.besides = kinds or OUTSIDE, besides
        ALL.append(function)
        return function

    return register


def look(*kinds):
    """Register a reading attack with the users who must not see anything."""

    def register(function):
        function.kinds = kinds or ("nobody", "stranger", "own", "abroad")
        LOOKS.append(function)
        return function

    return register


# Through one's own records


@attack()
def lines_of_another_through_an_order_of_ones_own(stage, kind):
    own = stage.call(kind, "sale.order", "create", vals_list=[{"partner_id": stage.users[kind].partner_id.id}])
    stage.call(kind, "sale.order", "write", own, vals={"order_line": [(1, stage.line.id, {"price_unit": 1})]})


@attack()
def lines_of_another_taken_into_an_order_of_ones_own(stage, kind):
    own = stage.call(kind, "sale.order", "create", vals_list=[{"partner_id": stage.users[kind].partner_id.id}])
    stage.call(kind, "sale.order", "write", own, vals={"order_line": [(4, stage.line.id)]})


@attack()
def orders_through_their_customer(stage, kind):
    values = {"sale_order_ids": [(1, stage.order.id, {"end_date": "2026-12-01"})]}
    stage.call(kind, "res.partner", "write", stage.customer.ids, vals=values)


@attack()
def orders_through_their_plan(stage, kind):
    values = {"pricing_ids": [(0, 0, {"compute_price": "fixed", "fixed_price": 1, "plan_id": stage.plan.id})]}
    stage.call(kind, "product.template", "write", stage.line.product_id.product_tmpl_id.ids, vals=values)
    stage.call(
        kind, "sale.order", "write", stage.order.ids, vals={"order_line": [(1, stage.line.id, {"discount": 50})]}
    )


@attack(*EVERYBODY)
def renewals_through_the_renewed_order(stage, kind):
    own = stage.call(kind, "sale.order", "create", vals_list=[{"partner_id": stage.users[kind].partner_id.id}])
    stage.call(kind, "sale.order", "write", stage.order.ids, vals={"renewal_ids": [(4, own[0])]})


@attack(*EVERYBODY)
def renewals_made_through_the_renewed_order(stage, kind):
    values = {"renewal_ids": [(0, 0, {"partner_id": stage.users[kind].partner_id.id, "plan_id": stage.plan.id})]}
    stage.call(kind, "sale.order", "write", stage.order.ids, vals=values)


@attack(*EVERYBODY)
def periods_through_their_order(stage, kind):
    values = {"period_ids": [(1, stage.period.id, {"state": "cancelled"})]}
    stage.call(kind, "sale.order", "write", stage.order.ids, vals=values)


@attack(*EVERYBODY)
def movements_through_their_order(stage, kind):
    stage.call(kind, "sale.order", "write", stage.order.ids, vals={"movement_ids": [(2, stage.movement.id)]})


@attack()
def order_through_its_card(stage, kind):
    stage.call(kind, "payment.token", "write", stage.card.ids, vals={"active": False})


@attack()
def card_whose_last_day_is_another(stage, kind):
    stage.call(kind, "payment.token", "write", stage.card.ids, vals={"subscription_valid_until": "2020-01-01"})


@attack("stranger", "colleague", "own", "invoicing", "abroad")
def card_of_another_on_an_order_of_ones_own(stage, kind):
    values = {"partner_id": stage.users[kind].partner_id.id, "payment_token_id": stage.card.id}
    made = stage.call(kind, "sale.order", "create", vals_list=[values])
    if stage.env["sale.order"].browse(made).payment_token_id:
        raise Forged("it has the card of another")


@attack("own", "invoicing", "abroad", besides=("account_move", "account_move_line"))
def card_of_a_customer_charged_by_an_order_of_ones_own(stage, kind):
    company = stage.other_company if kind == "abroad" else stage.company
    values = {"partner_id": stage.customer.id, "plan_id": stage.plan.id, "payment_token_id": stage.card.id}
    values |= {"order_line": [(0, 0, {"product_id": stage.product(company).id, "price_unit": 5000})]}
    own = stage.call(kind, "sale.order", "create", vals_list=[values])
    stage.call(kind, "sale.order", "action_confirm", own)
    stage.call(kind, "sale.order", "action_subscription_bill", own)


# Renewing the subscription of another


@attack(*SALES)
def quotation_that_says_that_it_renews(stage, kind):
    values = {"partner_id": stage.users[kind].partner_id.id, "plan_id": stage.plan.id}
    values |= {"subscription_id": stage.renewable.id, "order_line": [(0, 0, {"product_id": stage.line.product_id.id})]}
    own = stage.call(kind, "sale.order", "create", vals_list=[values])
    stage.call(kind, "sale.order", "action_confirm", own)


@attack(*SALES)
def copy_that_says_that_it_renews(stage, kind):
    values = {"partner_id": stage.users[kind].partner_id.id, "plan_id": stage.plan.id}
    own = stage.call(kind, "sale.order", "create", vals_list=[values])
    stage.call(kind, "sale.order", "copy", own, default={"subscription_id": stage.renewable.id})


@attack(*SALES)
def chain_of_renewals_that_one_belongs_to(stage, kind):
    values = {"partner_id": stage.users[kind].partner_id.id, "plan_id": stage.plan.id}
    own = stage.call(kind, "sale.order", "create", vals_list=[values])
    stage.call(kind, "sale.order", "copy", own, default={"origin_order_id": stage.order.id})
    copies = stage.env["sale.order"].search([("origin_order_id", "=", stage.order.id)]) - stage.orders
    if copies:
        raise Forged("it is in the history of another's order")


@attack("owner", "own", "all", "admin")
def renewed_line_that_shows_its_price(stage, kind):
    line = {"product_id": stage.foreign.order_line.product_id.id, "renewed_line_id": stage.foreign.order_line.id}
    values = {"partner_id": stage.users[kind].partner_id.id, "plan_id": stage.plan.id, "order_line": [(0, 0, line)]}
    made = stage.call(kind, "sale.order", "create", vals_list=[values])
    if stage.env["sale.order"].browse(made).order_line.renewed_line_id:
        raise Forged("it names the line of another company")


@attack("own", "abroad")
def subscriptions_closed_along_with_ones_own(stage, kind):
    values = {"partner_id": stage.users[kind].partner_id.id, "plan_id": stage.plan.id}
    company = stage.other_company if kind == "abroad" else stage.company
    values |= {"order_line": [(0, 0, {"product_id": stage.product(company).id})]}
    own = stage.call(kind, "sale.order", "create", vals_list=[values])
    stage.call(kind, "sale.order", "action_confirm", own)
    stage.call(kind, "sale.order", "subscription_close", own + stage.order.ids, reason_id=stage.reason.id)


# Writing without `write`


@attack(*EVERYBODY)
def guarded_field_by_import(stage, kind):
    fields = [".id", "subscription_state", "anchor_date"]
    result = stage.call(
        kind, "sale.order", "load", fields=fields, data=[[str(stage.order.id), "churned", "2020-01-01"]]
    )
    if result["ids"]:
        raise Forged("it was imported")


@attack("nobody", "stranger", "colleague", "own", "abroad")
def line_of_another_by_import(stage, kind):
    stage.call(kind, "sale.order.line", "load", fields=[".id", "price_unit"], data=[[str(stage.line.id), "1"]])


@attack(*EVERYBODY)
def guarded_field_by_the_form(stage, kind):
    values = {"subscription_state": "churned", "recurring_monthly": 1000000.0}
    stage.call(kind, "sale.order", "web_save", stage.order.ids, vals=values, specification={"name": {}})


@attack(*EVERYBODY)
def guarded_fields_of_many_by_the_list(stage, kind):
    values = {"set_aside_on": "2999-01-01"}
    stage.call(kind, "sale.order", "web_save_multi", stage.order.ids, vals_list=[values], specification={"name": {}})


@attack(*EVERYBODY)
def guarded_field_by_the_group_of_a_board(stage, kind):
    stage.call(kind, "sale.order", "write", stage.order.ids, vals={"subscription_state": "paused"})


@attack(*EVERYBODY)
def guarded_field_by_a_copy(stage, kind):
    names = (
        "subscription_state",
        "close_requested_on",
        "closed_on",
        "resumed_on",
        "end_date_before_close",
        "auto_renew_on",
    )
    values = {"partner_id": stage.users[kind].partner_id.id, "plan_id": stage.plan.id}
    own = stage.call(kind, "sale.order", "create", vals_list=[values])
    forged = dict.fromkeys(names[1:], "2020-01-01") | {"subscription_state": "churned"}
    made = stage.call(kind, "sale.order", "copy", own, default=forged)
    [values] = stage.env["sale.order"].browse(made).read(names)
    if values["subscription_state"] != "quotation" or any(values[name] for name in names[1:]):
        raise Forged(str(values))


@attack("nobody", "stranger", "colleague", "invoicing", "own", "all", "admin", "abroad")
def pop_up_of_another(stage, kind):
    for model, ids in stage.pop_up_ids.items():
        with contextlib.suppress(Exception):
            stage.call(kind, model, "action_submit", ids)


# Invoices


@attack("invoicing", "abroad", besides=("account_move", "account_move_line"))
def invoice_that_bills_the_past(stage, kind):
    for start, end in (("2020-01-01", "2026-11-26"), ("2026-12-26", "2199-12-31")):
        line = {"name": "Forged", "quantity": 1, "price_unit": 0, "subscription_id": stage.order.id}
        line |= {"subscription_period_start": start, "subscription_period_end": end}
        _post_and_cancel(stage, kind, line)


@attack("abroad", besides=("account_move", "account_move_line"))
def invoice_that_bills_the_line_of_another(stage, kind):
    line = {"name": "Forged", "quantity": 1, "price_unit": 0, "sale_line_ids": [(4, stage.line.id)]}
    _post_and_cancel(stage, kind, line)


@attack("abroad", "own", besides=("account_move", "account_move_line"))
def invoice_that_is_a_copy(stage, kind):
    copy = stage.call(kind, "account.move", "copy", stage.invoice.ids, context={"include_business_fields": True})
    for method in ("action_post", "button_draft", "button_cancel"):
        stage.call(kind, "account.move", method, copy)


@attack("invoicing", besides=("account_move", "account_move_line", "mail_message", "sale_order_line"))
def invoice_that_is_a_copy_with_its_links(stage, kind):
    copy = stage.call(kind, "account.move", "copy", stage.invoice.ids, context={"include_business_fields": True})
    stage.call(kind, "account.move", "write", copy, vals={"invoice_date": "2026-11-26"})
    for method in ("action_post", "button_draft", "button_cancel"):
        stage.call(kind, "account.move", method, copy)


def _post_and_cancel(stage, kind, line):
    values = {"move_type": "out_invoice", "partner_id": stage.users[kind].partner_id.id}
    made = stage.call(kind, "account.move", "create", vals_list=[values | {"invoice_line_ids": [(0, 0, line)]}])
    for method in ("action_post", "button_draft", "button_cancel"):
        stage.call(kind, "account.move", method, made)


@attack("abroad", "own", "stranger", "colleague")
def payment_registered_for_another(stage, kind):
    context = {"active_model": "account.move", "active_ids": stage.invoice.ids}
    wizard = stage.call(kind, "account.payment.register", "create", context=context, vals_list=[{}])
    stage.call(kind, "account.payment.register", "action_create_payments", wizard, context=context)


@attack("abroad", "own", "stranger", "colleague", "nobody")
def payment_made_with_the_card_of_another(stage, kind):
    values = {
        "payment_type": "inbound",
        "amount": 100,
        "partner_id": stage.customer.id,
        "payment_token_id": stage.card.id,
    }
    made = stage.call(kind, "account.payment", "create", vals_list=[values])
    stage.call(kind, "account.payment", "action_post", made)


@attack("abroad", "own", "stranger", "colleague", "nobody", "owner")
def payment_whose_outcome_is_written(stage, kind):
    stage.call(kind, "payment.transaction", "write", stage.unknown_transaction.ids, vals={"state": "done"})


@attack("owner", "own", "all", "admin", besides=("sale_order", "mail_message", "mail_activity"))
def payment_of_long_ago_said_to_be_made(stage, kind):
    values = {"order_id": stage.unknown.id, "outcome": "paid", "payment_date": "2020-01-01"}
    wizard = stage.call(kind, "sale.subscription.resolve.wizard", "create", vals_list=[values])
    stage.call(kind, "sale.subscription.resolve.wizard", "action_submit", wizard)


# Odoo's own pop-ups


@attack("nobody", "stranger", "colleague", "own", "abroad")
def invoice_of_another_by_odoos_pop_up(stage, kind):
    values = {"sale_order_ids": [(6, 0, stage.due.ids)], "advance_payment_method": "delivered"}
    wizard = stage.call(kind, "sale.advance.payment.inv", "create", vals_list=[values])
    stage.call(kind, "sale.advance.payment.inv", "create_invoices", wizard)


@attack("nobody", "stranger", "colleague", "invoicing", "own", "abroad")
def order_of_another_cancelled_among_many(stage, kind):
    values = {"sale_order_ids": [(6, 0, stage.due.ids)]}
    wizard = stage.call(kind, "sale.mass.cancel.orders", "create", vals_list=[values])
    stage.call(kind, "sale.mass.cancel.orders", "action_mass_cancel", wizard)


@attack("nobody", "stranger", "colleague", "invoicing", "own", "abroad")
def discount_on_the_order_of_another(stage, kind):
    values = {"sale_order_id": stage.order.id, "discount_type": "sol_discount", "discount_percentage": 0.5}
    wizard = stage.call(kind, "sale.order.discount", "create", vals_list=[values])
    stage.call(kind, "sale.order.discount", "action_apply_discount", wizard)


@attack("nobody", "stranger", "colleague", "own", "abroad")
def invoice_of_another_credited(stage, kind):
    values = {"move_ids": [(6, 0, stage.invoice.ids)], "journal_id": stage.invoice.journal_id.id}
    wizard = stage.call(kind, "account.move.reversal", "create", vals_list=[values])
    stage.call(kind, "account.move.reversal", "refund_moves", wizard)


# Records attached to an order


@attack("nobody", "stranger", "own", "abroad")
def activity_on_an_order(stage, kind):
    values = {
        "res_model_id": stage.env["ir.model"]._get_id("sale.order"),
        "res_id": stage.order.id,
        "summary": "Forged",
    }
    stage.call(kind, "mail.activity", "create", vals_list=[values])


@attack("nobody", "stranger", "own", "abroad")
def message_on_an_order(stage, kind):
    stage.call(kind, "sale.order", "message_post", stage.order.ids, body="Forged")


@attack("nobody", "stranger", "own", "abroad")
def mail_about_an_order(stage, kind):
    values = {"model": "sale.order", "res_ids": str(stage.order.ids), "subject": "Forged", "body": "Forged"}
    values |= {"partner_ids": [(6, 0, stage.customer.ids)], "composition_mode": "comment"}
    composer = stage.call(kind, "mail.compose.message", "create", vals_list=[values])
    stage.call(kind, "mail.compose.message", "action_send_mail", composer)


@attack("nobody", "stranger", "own", "abroad")
def file_on_an_order(stage, kind):
    values = {"name": "forged.txt", "raw": "Forged", "res_model": "sale.order", "res_id": stage.order.id}
    made = stage.call(kind, "ir.attachment", "create", vals_list=[values])
    raise Forged(f"there is a file {made}")


@attack("abroad")
def plan_taken_away_from_others(stage, kind):
    stage.call(kind, "sale.subscription.plan", "write", stage.plan.ids, vals={"company_id": stage.other_company.id})


@attack("owner", "own", "all", "admin", "abroad", besides=("sale_subscription_plan",))
def plan_of_another_company(stage, kind):
    company = stage.company if kind == "abroad" else stage.other_company
    plan = stage.plan.copy({"company_id": company.id})
    values = {"partner_id": stage.users[kind].partner_id.id, "plan_id": plan.id}
    stage.call(kind, "sale.order", "create", vals_list=[values])
    raise Forged("an order has the plan of another company")


@attack("own", "abroad")
def order_handed_to_oneself(stage, kind):
    stage.call(kind, "sale.order", "write", stage.order.ids, vals={"user_id": stage.users[kind].id})


@attack("stranger", "nobody")
def access_token_of_another_order(stage, kind):
    address = "/my/subscriptions/<int:order_id>/close"
    for token in ("", "0", stage.foreign.access_token, stage.order.access_token[:-1], "%00", "é"):
        stage.ask(kind, f"{address}?access_token={token}", "POST")


# Reading


@look()
def orders_by_a_search(stage, kind):
    found = stage.call(
        kind, "sale.order", "search_read", domain=[["origin_order_id", "=", stage.order.id]], fields=["name"]
    )
    return found


@look("nobody", "stranger", "colleague", "own", "abroad")
def movements_by_a_group(stage, kind):
    aggregates = ["__count", "amount_company:sum"]
    domain = [["order_id", "=", stage.order.id]]
    model = "sale.subscription.movement"
    groups = stage.call(kind, model, "formatted_read_group", domain=domain, groupby=["order_id"], aggregates=aggregates)
    return groups


@look("nobody", "stranger", "colleague", "own", "abroad")
def report_by_a_group(stage, kind):
    domain = [["order_id", "=", stage.order.id]]
    model = "sale.subscription.report"
    return stage.call(kind, model, "formatted_read_group", domain=domain, groupby=["order_id"], aggregates=["__count"])


@look("nobody", "stranger", "colleague", "own", "abroad")
def periods_by_a_search(stage, kind):
    return stage.call(kind, "sale.subscription.period", "search_count", domain=[["order_id", "in", stage.orders.ids]])


@look("nobody", "stranger", "colleague", "own", "abroad")
def cards_by_a_search(stage, kind):
    return stage.call(kind, "payment.token", "search_count", domain=[["partner_id", "=", stage.customer.id]])


@look("nobody", "stranger", "colleague", "invoicing", "own", "all", "abroad")
def requests_by_a_search(stage, kind):
    return stage.call(kind, "sale.subscription.close.request", "search_count", domain=[])


@look("own", "abroad")
def price_by_an_onchange(stage, kind):
    values = {"renewed_line_id": stage.line.id}
    spec = {"previous_price_unit": {}, "renewed_line_id": {"fields": {"display_name": {}}}}
    answer = stage.call(
        kind, "sale.order.line", "onchange", [], values=values, field_names=["renewed_line_id"], fields_spec=spec
    )
    return answer["value"].get("previous_price_unit")


@look("own", "abroad")
def order_by_an_onchange(stage, kind):
    spec = {"origin_order_id": {"fields": {"display_name": {}}}, "subscription_state": {}}
    spec |= {"subscription_id": {"fields": {"display_name": {}}}}
    values = {"subscription_id": stage.order.id, "plan_id": stage.plan.id}
    answer = stage.call(
        kind, "sale.order", "onchange", [], values=values, field_names=["subscription_id"], fields_spec=spec
    )
    return stage.order.name in str(answer)


@look("own", "abroad")
def pop_up_that_names_an_order(stage, kind):
    for model, values in stage.pop_ups.items():
        fields = {"refusals": {}, "question": {}, "effect": {}}
        spec = {name: value for name, value in fields.items() if name in stage.registry[model]._fields}
        spec |= {name: {} for name in values}
        answer = stage.call(kind, model, "onchange", [], values=values, field_names=list(values), fields_spec=spec)
        if any(order.name in str(answer) for order in stage.orders) or "fake" in str(answer).lower():
            return f"{model}: {answer}"
    return None


@look("own", "abroad")
def link_by_sharing(stage, kind):
    context = {"active_model": "sale.order", "active_id": stage.order.id}
    values = {"res_model": "sale.order", "res_id": stage.order.id}
    wizard = stage.call(kind, "portal.share", "create", context=context, vals_list=[values])
    [found] = stage.call(kind, "portal.share", "read", wizard, fields=["share_link"])
    return stage.order.access_token in (found["share_link"] or "")


@look("nobody", "stranger", "own", "abroad")
def link_by_a_payment_link(stage, kind):
    values = {"res_model": "sale.order", "res_id": stage.order.id, "amount": 1}
    wizard = stage.call(kind, "payment.link.wizard", "create", vals_list=[values])
    [found] = stage.call(kind, "payment.link.wizard", "read", wizard, fields=["link"])
    return "access_token" in (found["link"] or "")
