"""The billing methods that are compared.

A method is a function that prepares the documents of the customers with a label, and returns the work to measure. Each
ends with posted invoices of the same amounts, committed by the hundred.
"""

from odoo import fields
from odoo.tools import split_every

from . import data

CHUNK = 100
ADDON = "subscription_close_renew"


def floor(env, label):
    """Odoo's own create and post of equal invoices in batches, whose values are prepared beforehand.

    The invoices have no order, and no salesperson, who would get a mail about each. Only accounting and Odoo's own note
    are left: this is the least that an invoice can cost.
    """
    data.release_orders(env, label)
    values = [_invoice_values(order) for order in data.records(env, "sale.order", label)]
    env.cr.rollback()

    def bill():
        for chunk in split_every(CHUNK, values, list):
            _post(env["account.move"].with_context(default_move_type="out_invoice").create(chunk))

    return bill


def sale(env, label):
    """Odoo's own invoicing of sales orders, a hundred at a time, as a salesperson does it."""
    env = env(user=env.ref("base.user_admin"))
    ids = data.records(env, "sale.order", label).ids
    env.invalidate_all()

    def bill():
        for chunk in split_every(CHUNK, ids):
            _post(env["sale.order"].browse(chunk)._create_invoices())

    return bill


def billing(env, label):
    """The addon's scheduled action, which is called again for as long as it asks for it, as by the scheduler."""
    data.release_orders(env, label)
    env.cr.commit()
    action = env.ref(f"{ADDON}.ir_cron_subscription_billing")

    def bill():
        _run(action, lambda: env["sale.order"].search_count(env["sale.order"]._get_due_domain("next_invoice_date")))

    return bill


def worker(env, label):
    """The method behind the addon's scheduled action, which several processes may call at a time.

    The last process makes the orders due, when all are ready.
    """

    def bill():
        env(user=1, context={})["sale.order"]._cron_subscription_billing()
        env.cr.commit()

    return bill


def contract(env, label):
    """The scheduled action of OCA's `contract`, which makes drafts, then their post."""
    data.release(env, "contract.contract", label)
    action = env.ref("contract.contract_cron_for_invoice")

    def bill():
        action.method_direct_trigger()
        _post_drafts(env)

    return bill


def subscription_oca(env, label):
    """The scheduled action of OCA's `subscription_oca`, set to make drafts, then their post."""
    data.release(env, "sale.subscription", label)
    action = env.ref("subscription_oca.ir_cron_subscription_management")

    def bill():
        action.method_direct_trigger()
        _post_drafts(env)

    return bill


METHODS = {method.__name__: method for method in (floor, sale, billing, worker, contract, subscription_oca)}


def _invoice_values(order):
    """Return the values of an order's invoice, without links to the order and without the addon's fields."""
    values = _accounting_only(order.env["account.move"], order._prepare_invoice())
    values["invoice_date"] = fields.Date.today()
    values["invoice_line_ids"] = [
        (
            0,
            0,
            _accounting_only(order.env["account.move.line"], line._prepare_invoice_line(quantity=line.product_uom_qty)),
        )
        for line in order.order_line
    ]
    return values


def _accounting_only(model, values):
    links = {"sale_line_ids", "transaction_ids", "user_id", "invoice_user_id"}
    links |= {name for name in values if name in model._fields and ADDON in model._fields[name]._modules}
    return {name: value for name, value in values.items() if name not in links}


def _post(moves):
    moves._post(soft=False)
    moves.env.cr.commit()


def _post_drafts(env):
    # The action has its own transaction.
    env.cr.commit()
    env.invalidate_all()
    drafts = env["account.move"].search([("state", "=", "draft"), ("company_id", "=", env.company.id)])
    for chunk in split_every(CHUNK, drafts.ids):
        _post(drafts.browse(chunk))


def _run(action, count_due):
    """Call a scheduled action until it is done, as the scheduler does."""
    cr = action.env.cr
    due = count_due()
    while True:
        action.method_direct_trigger()
        cr.commit()
        cr.execute(
            "SELECT 1 FROM ir_cron_trigger WHERE cron_id = %s AND call_at <= now() AT TIME ZONE 'UTC'", [action.id]
        )
        wants_more = cr.fetchone()
        before, due = due, count_due()
        # Orders that cannot be billed stay due: an action that asks for more because of them would never end.
        if not wants_more or due == before:
            return
