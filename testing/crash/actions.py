"""Actions in the shop whose billing is killed: each function is one run and commits its changes.

`prefork` calls them inside Odoo; they return whether all went well. Users' actions run with the rights of a user
rather than of the system, so they may be refused with a `UserError`.
"""

from odoo.exceptions import UserError
from odoo.fields import Command

COMPANY = "Killed Company"
BY_HAND = {}
"""What people may try while a payment is under way, by name: functions of a subscription."""


def open_shop(env, name: str = COMPANY) -> bool:
    """Create a company that can post invoices and receive payments of the fake provider, and its products.

    It is the only active company: the subscriptions of the demo companies are closed.

    :param name: of the company
    """
    env["sale.order"].search([("subscription_state", "in", ("progress", "paused"))])._close()
    company = env["res.company"].create({"name": name, "currency_id": env.ref("base.USD").id})
    company.currency_id.active = True
    company.partner_id.tz = "UTC"
    env.ref("base.user_admin").company_ids = [Command.link(company.id)]
    env = env(context={"allowed_company_ids": company.ids})
    receivable, income, outstanding, bank = env["account.account"].create(
        [
            {"code": "121000", "name": "Receivable", "account_type": "asset_receivable", "reconcile": True},
            {"code": "400000", "name": "Income", "account_type": "income"},
            {"code": "101701", "name": "Outstanding", "account_type": "asset_current", "reconcile": True},
            {"code": "101401", "name": "Bank", "account_type": "asset_cash"},
        ]
    )
    env["ir.default"].set("res.partner", "property_account_receivable_id", receivable.id, company_id=company.id)
    _sales, bank_journal = env["account.journal"].create(
        [
            {"name": "Sales", "code": "INV", "type": "sale", "default_account_id": income.id},
            {"name": "Bank", "code": "BNK", "type": "bank", "default_account_id": bank.id},
        ]
    )
    provider = env.ref("payment_fake.payment_provider_fake").copy({"company_id": company.id})
    provider.write({"state": "enabled", "journal_id": bank_journal.id})
    bank_journal.inbound_payment_method_line_ids.payment_account_id = outstanding
    company.partner_id.email = "shop@example.com"
    mail = env.ref("account.email_template_edi_invoice")
    env["sale.subscription.plan"].create(
        {"name": "Every month", "billing_period_unit": "month", "invoice_mail_template_id": mail.id}
    )
    env["product.product"].create(
        {
            "name": "Coffee Service",
            "type": "service",
            "invoice_policy": "order",
            "recurring_invoice": True,
            "list_price": 100.0,
            "taxes_id": False,
            "company_id": company.id,
        }
    )
    env.cr.commit()
    return True


def sell(env, cards: dict[str, str]) -> bool:
    """Confirm a subscription for each card, each with its own customer.

    :param cards: the first day of the subscription, by the token of the card
    """
    company = env["res.company"].search([("name", "=", COMPANY)])
    env = env(context={"allowed_company_ids": company.ids, "tracking_disable": True})
    provider = env["payment.provider"].search([("code", "=", "fake"), ("company_id", "=", company.id)])
    plan = env["sale.subscription.plan"].search([("name", "=", "Every month")])
    product = env["product.product"].search([("name", "=", "Coffee Service"), ("company_id", "=", company.id)])
    partners = env["res.partner"].create([{"name": token, "email": "customer@example.com"} for token in cards])
    tokens = env["payment.token"].create(
        [
            {
                "provider_id": provider.id,
                "payment_method_id": provider.payment_method_ids.id,
                "partner_id": partner.id,
                "provider_ref": partner.name,
                "payment_details": partner.name,
            }
            for partner in partners
        ]
    )
    env["sale.order"].create(
        [
            {
                "partner_id": token.partner_id.id,
                "plan_id": plan.id,
                "start_date": cards[token.provider_ref],
                "payment_token_id": token.id,
                "order_line": [Command.create({"product_id": product.id})],
            }
            for token in tokens
        ]
    ).action_confirm()
    env.cr.commit()
    return True


def scheduled(env, xml_id: str) -> bool:
    """Run a scheduled action as the scheduler does: with its own cursor, in several passes.

    Odoo skips a run of an action whose process has died three times without progress. Here every run takes place.
    """
    cron = env.ref(xml_id)
    env["ir.cron.progress"].search([("cron_id", "=", cron.id)]).timed_out_counter = 0
    env.cr.commit()
    return cron.method_direct_trigger() is True


def resolve(env, order: int, outcome: str, reference: str) -> bool:
    """Resolve a payment in exception as a person does after reading the provider's ledger.

    :param order: id of the subscription
    :param outcome: `paid` or `unpaid`
    :param reference: reference of the charge in the ledger
    """
    wizard = _as_person(env)["sale.subscription.resolve.wizard"].create(
        {"order_id": order, "outcome": outcome, **({"reference": reference} if outcome == "paid" else {})}
    )
    wizard.action_submit()
    env.cr.commit()
    return True


def try_by_hand(env, deed: str, token: str) -> bool:
    """Perform one of `BY_HAND` on the subscription of a card, completely or not at all."""
    order = _as_person(env)["sale.order"].search([("payment_token_id.provider_ref", "=", token)])
    BY_HAND[deed](order)
    env.cr.commit()
    return True


def open_checkout(env, token: str, reference: str, opened: str) -> bool:
    """Start the payment of the oldest open invoice of a card's customer on the provider's page, as the portal does.

    :param opened: creation time, which only the database knows
    """
    company = env["res.company"].search([("name", "=", COMPANY)])
    env = env(context={"allowed_company_ids": company.ids})
    card = env["payment.token"].search([("provider_ref", "=", token)])
    domain = [("partner_id", "=", card.partner_id.id), ("payment_state", "=", "not_paid"), ("state", "=", "posted")]
    invoice = env["account.move"].search(domain, order="id", limit=1)
    checkout = env["payment.transaction"].create(
        {
            "provider_id": card.provider_id.id,
            "payment_method_id": card.payment_method_id.id,
            "operation": "online_redirect",
            "reference": reference,
            "amount": invoice.amount_residual,
            "currency_id": invoice.currency_id.id,
            "partner_id": card.partner_id.id,
            "invoice_ids": [Command.set(invoice.ids)],
        }
    )
    env.flush_all()
    env.cr.execute("UPDATE payment_transaction SET create_date = %s WHERE id = %s", [opened, checkout.id])
    env.cr.commit()
    return True


def _as_person(env):
    company = env["res.company"].search([("name", "=", COMPANY)])
    return env(user=env.ref("base.user_admin"), su=False, context={"allowed_company_ids": company.ids})


def _by_hand(function):
    BY_HAND[function.__name__.replace("_", "-")] = function
    return function


def _invoices(order, state):
    invoices = order.invoice_ids.filtered(lambda move: move.move_type == "out_invoice" and move.state == state)
    if not invoices:
        raise UserError(f"no invoice is {state}")
    return invoices


@_by_hand
def delete_draft(order):
    _invoices(order, "draft").unlink()


@_by_hand
def cancel_draft(order):
    _invoices(order, "draft").button_cancel()


@_by_hand
def post_draft(order):
    _invoices(order, "draft").action_post()


@_by_hand
def reset_invoice(order):
    _invoices(order, "posted").button_draft()


@_by_hand
def reset_and_cancel_invoice(order):
    invoices = _invoices(order, "posted")
    invoices.button_draft()
    invoices.button_cancel()


@_by_hand
def credit_invoice(order):
    invoices = _invoices(order, "posted")
    wizard = (
        order.env["account.move.reversal"]
        .with_context(active_model="account.move", active_ids=invoices.ids)
        .create({"journal_id": invoices.journal_id.id})
    )
    wizard.reverse_moves()
    wizard.new_move_ids.filtered(lambda move: move.state == "draft").action_post()


@_by_hand
def register_payment(order):
    invoices = _invoices(order, "posted")
    wizards = order.env["account.payment.register"].with_context(active_model="account.move", active_ids=invoices.ids)
    wizards.create({})._create_payments()


@_by_hand
def invoice_by_hand(order):
    """Create and post an invoice manually, without the pop-up."""
    wizards = order.env["sale.advance.payment.inv"].with_context(active_model="sale.order", active_ids=order.ids)
    wizards.create(
        {"advance_payment_method": "delivered", "sale_order_ids": [Command.set(order.ids)]}
    ).create_invoices()
    _invoices(order, "draft").sorted("id")[-1:].action_post()


@_by_hand
def invoice_by_hand_and_untick(order):
    invoice_by_hand(order)
    order.payment_exception = False


@_by_hand
def invoice_by_hand_untick_and_pay(order):
    invoice_by_hand(order)
    order.payment_exception = False
    register_payment(order)


@_by_hand
def untick(order):
    order.payment_exception = False


@_by_hand
def resolve_as_paid(order):
    resolve(order.env, order.id, "paid", "by hand")


@_by_hand
def resolve_as_unpaid(order):
    resolve(order.env, order.id, "unpaid", "")


@_by_hand
def cancel_order(order):
    order.action_unlock()
    order.action_cancel()


@_by_hand
def close(order):
    reason = order.env["sale.order.close.reason"].search([], limit=1)
    order.subscription_close(reason.id)


@_by_hand
def close_and_reopen(order):
    close(order)
    order.subscription_reopen()


@_by_hand
def pause(order):
    order.subscription_pause()


@_by_hand
def remove_card(order):
    order.payment_token_id = False


@_by_hand
def bill_now(order):
    order.action_subscription_bill()
