"""The data of the benchmarks: a company, and customers who owe it the same every month.

All documents exist before a measurement, and wait: `HELD_BACK` is a day that never comes. A customer's reference tells
what its documents are for, `WARM_UP` or `DUE`.
"""

from odoo import fields
from odoo.fields import Command
from odoo.tools import split_every

WARM_UP = "warm-up"
DUE = "due"
HELD_BACK = "2999-01-01"
PRICE = 100.0
WARM_UP_SIZE = 20

_COMPANY = "Benchmark Company"
_PRODUCT = "Coffee Service"
_UNPOSTABLE = "Tea Service"


def make_company(env):
    """Make a company with a chart of accounts, a taxed product, and one that no invoice can be posted with."""
    company = env["res.company"].create(
        {"name": _COMPANY, "currency_id": env.ref("base.USD").id, "country_id": env.ref("base.us").id}
    )
    env.ref("base.user_admin").company_ids += company
    # Odoo loads the country's chart of accounts at the end of the transaction.
    env.cr.commit()
    env = of_company(env)
    tax = env["account.tax"].create({"name": "15 % for the benchmark", "amount": 15, "type_tax_use": "sale"})
    income, archived = env["account.account"].create(
        [
            {"code": "499998", "name": "Subscriptions", "account_type": "income"},
            {"code": "499999", "name": "Archived", "account_type": "income"},
        ]
    )
    archived.active = False
    values = {"type": "service", "invoice_policy": "order", "list_price": PRICE, "company_id": company.id}
    values["taxes_id"] = [Command.set(tax.ids)]
    if "recurring_invoice" in env["product.product"]._fields:
        values["recurring_invoice"] = True
    env["product.product"].create(
        [
            {**values, "name": _PRODUCT, "property_account_income_id": income.id},
            {**values, "name": _UNPOSTABLE, "property_account_income_id": archived.id},
        ]
    )


def of_company(env):
    """Return an environment with all rights, in which the company is the only one."""
    company = env["res.company"].search([("name", "=", _COMPANY)])
    return env(user=1, context={"lang": "en_US", "tz": "UTC", "allowed_company_ids": company.ids})


def product(env, name=_PRODUCT):
    """Return a product of the company; by default the one that all customers buy."""
    return env["product.product"].search([("name", "=", name)])


def records(env, model, label):
    """Return the documents of a model for the customers with a label, oldest first."""
    return env[model].with_context(active_test=False).search([("partner_id.ref", "=", label)], order="id")


def add_customers(env, label, count):
    """Make customers as a company has them: all different, and invoiced before."""
    country = env.ref("base.us")
    return env["res.partner"].create(
        [
            {
                "name": f"Customer {label} {number}",
                "ref": label,
                "is_company": True,
                "customer_rank": 1,
                "email": f"customer{number}@example.com",
                "street": f"{number} Main Street",
                "city": "Springfield",
                "zip": f"{number % 100_000:05}",
                "country_id": country.id,
            }
            for number in range(count)
        ]
    )


def add_orders(env, label, count):
    """Make confirmed orders of new customers, as a salesperson would: subscriptions where the addon is installed."""
    plan = {}
    if "plan_id" in env["sale.order"]._fields:
        plan = {"plan_id": env["sale.subscription.plan"].search([("billing_period_unit", "=", "month")], limit=1).id}
    line = {"product_id": product(env).id, "product_uom_qty": 1}
    salesperson = env.ref("base.user_admin").id
    for customers in split_every(100, add_customers(env, label, count).ids):
        orders = env["sale.order"].create(
            [
                {"partner_id": partner_id, "user_id": salesperson, "order_line": [Command.create(line)], **plan}
                for partner_id in customers
            ]
        )
        orders.action_confirm()
        env.cr.commit()
    if plan:
        env.cr.execute("UPDATE sale_order SET next_invoice_date = %s WHERE next_invoice_date IS NOT NULL", [HELD_BACK])
        env.cr.commit()


def release_orders(env, label):
    """Make the subscriptions with a label due."""
    orders = records(env, "sale.order", label)
    env.cr.execute("UPDATE sale_order SET next_invoice_date = start_date WHERE id = ANY(%s)", [orders.ids])
    env.invalidate_all()


def make_one_fail(env, label):
    """Give an order in the middle the product that no invoice can be posted with."""
    orders = records(env, "sale.order", label)
    order = orders[len(orders) // 2]
    env.cr.execute(
        "UPDATE sale_order_line SET product_id = %s WHERE order_id = %s", [product(env, _UNPOSTABLE).id, order.id]
    )
    env.cr.commit()


def add_contracts(env, label, count):
    """Make contracts of OCA's `contract`, equal to the subscriptions."""
    sold = product(env)
    today = fields.Date.today()
    line = {
        "product_id": sold.id,
        "name": sold.name,
        "quantity": 1,
        "uom_id": sold.uom_id.id,
        "price_unit": PRICE,
        "recurring_rule_type": "monthly",
        "recurring_interval": 1,
        "recurring_invoicing_type": "pre-paid",
        "date_start": today,
    }
    for customers in split_every(100, add_customers(env, label, count).ids):
        env["contract.contract"].create(
            [
                {
                    "name": f"Contract {partner_id}",
                    "partner_id": partner_id,
                    "contract_line_ids": [Command.create(line)],
                }
                for partner_id in customers
            ]
        )
        env.cr.commit()
    hold_back(env, "contract.contract")


def add_oca_subscriptions(env, label, count):
    """Make subscriptions of OCA's `subscription_oca`, equal to the addon's, whose invoices are drafts."""
    template = env["sale.subscription.template"].create(
        {
            "name": "Monthly",
            "recurring_rule_type": "months",
            "recurring_rule_boundary": "unlimited",
            "invoicing_mode": "draft",
        }
    )
    pricelist = env["product.pricelist"].create({"name": "Benchmark", "company_id": env.company.id})
    sold = product(env)
    line = {"product_id": sold.id, "product_uom_qty": 1, "tax_ids": [Command.set(sold.taxes_id.ids)]}
    today = fields.Date.today()
    for customers in split_every(100, add_customers(env, label, count).ids):
        env["sale.subscription"].create(
            [
                {
                    "partner_id": partner_id,
                    "template_id": template.id,
                    "pricelist_id": pricelist.id,
                    "date_start": today,
                    "recurring_next_date": today,
                    "sale_subscription_line_ids": [Command.create(line)],
                }
                for partner_id in customers
            ]
        ).action_start_subscription()
        env.cr.commit()
    hold_back(env, "sale.subscription")


def hold_back(env, model):
    """Archive the documents of a model until they are released."""
    env.cr.execute(f"UPDATE {env[model]._table} SET active = FALSE")
    env.cr.commit()


def release(env, model, label):
    """Unarchive the documents with a label, which are due."""
    found = records(env, model, label)
    env.cr.execute(f"UPDATE {env[model]._table} SET active = TRUE WHERE id = ANY(%s)", [found.ids])
    env.cr.commit()


_MAKERS = {
    "orders": add_orders,
    "subscriptions": add_orders,
    "contract": add_contracts,
    "subscription_oca": add_oca_subscriptions,
}


def build(env, kind, count, first):
    """Make `count` more documents and, the first time, the company and the documents to warm up with.

    :param str kind: ``orders``, ``subscriptions``, or the name of the addon whose documents they are
    """
    if first:
        make_company(env)
    env = of_company(env)
    if first:
        _MAKERS[kind](env, WARM_UP, WARM_UP_SIZE)
    _MAKERS[kind](env, DUE, count)
    vacuum(env)


def vacuum(env):
    """Vacuum and analyze the database, as a server that has run for a while has done."""
    # VACUUM refuses to run inside a transaction.
    env.cr.commit()
    env.cr._cnx.autocommit = True
    env.cr.execute("VACUUM ANALYZE")
    env.cr._cnx.autocommit = False
