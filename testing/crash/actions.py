"""What happens in the shop whose billing is killed: each function is one run, and commits what it has done.

They are called inside Odoo by `prefork`, and tell whether all went well.
"""

from odoo.fields import Command

COMPANY = "Killed Company"


def open_shop(env) -> bool:
    """Make a company that can post invoices and receive payments of the fake provider, and what it sells.

    It is the only one that does business here: the subscriptions of the demonstration companies are closed.
    """
    env["sale.order"].search([("subscription_state", "in", ("progress", "paused"))])._close()
    company = env["res.company"].create({"name": COMPANY, "currency_id": env.ref("base.USD").id})
    company.currency_id.active = True
    company.partner_id.tz = "UTC"
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
    """Confirm a subscription for each card, with a customer of its own.

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
    """Run a scheduled action as the scheduler does: with a cursor of its own, in several passes.

    Odoo skips a run of an action whose process has ended three times without progress. Here every run counts.
    """
    cron = env.ref(xml_id)
    env["ir.cron.progress"].search([("cron_id", "=", cron.id)]).timed_out_counter = 0
    env.cr.commit()
    return cron.method_direct_trigger() is True


def resolve(env, order: int, outcome: str, reference: str) -> bool:
    """Do what a person does with a payment in exception, who has looked at the provider's ledger.

    :param order: id of the subscription
    :param outcome: `paid` or `unpaid`
    :param reference: what the ledger calls the charge
    """
    wizard = env["sale.subscription.resolve.wizard"].create(
        {"order_id": order, "outcome": outcome, **({"reference": reference} if outcome == "paid" else {})}
    )
    wizard.action_submit()
    env.cr.commit()
    return True
