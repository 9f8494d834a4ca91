"""The ways to bill that are compared.

A way is a function that prepares what it bills, for the customers with a label, and returns the work to measure. Each
leaves posted invoices of the same amounts behind, every hundred of them committed.
"""

from odoo import fields
from odoo.tools import split_every

from . import world

CHUNK = 100
ADDON = "subscription_close_renew"


def floor(env, label):
    """Odoo's own create and post of equal invoices in batches, with everything that they say known beforehand.

    The invoices know no order and no salesperson, to whom Odoo would write a mail about each, so that nothing but
    accounting and Odoo's own note is left: this is what an invoice costs.
    """
    world.release_orders(env, label)
    values = [_invoice_values(order) for order in world.records(env, "sale.order", label)]
    env.cr.rollback()

    def bill():
        for chunk in split_every(CHUNK, values, list):
            _post(env["account.move"].with_context(default_move_type="out_invoice").create(chunk))

    return bill


def sale(env, label):
    """Odoo's own invoicing of sales orders, a hundred orders at a time, as their salesperson does it."""
    env = env(user=env.ref("base.user_admin"))
    ids = world.records(env, "sale.order", label).ids
    env.invalidate_all()

    def bill():
        for chunk in split_every(CHUNK, ids):
            _post(env["sale.order"].browse(chunk)._create_invoices())

    return bill


def billing(env, label):
    """The addon's scheduled action, called again as long as it asks for that, as the scheduler does."""
    world.release_orders(env, label)
    env.cr.commit()
    action = env.ref(f"{ADDON}.ir_cron_subscription_billing")

    def bill():
        _run(action, lambda: env["sale.order"].search_count(env["sale.order"]._get_due_domain("next_invoice_date")))

    return bill


def worker(env, label):
    """The method behind the addon's scheduled action, which several processes may call at a time.

    Somebody else says what is due, when all are ready.
    """

    def bill():
        env(user=1, context={})["sale.order"]._cron_subscription_billing()
        env.cr.commit()

    return bill


def contract(env, label):
    """The scheduled action of OCA's `contract`, which leaves drafts, then the post of these."""
    world.release(env, "contract.contract", label)
    action = env.ref("contract.contract_cron_for_invoice")

    def bill():
        action.method_direct_trigger()
        _post_drafts(env)

    return bill


def subscription_oca(env, label):
    """The scheduled action of OCA's `subscription_oca`, told to leave drafts, then the post of these."""
    world.release(env, "sale.subscription", label)
    action = env.ref("subscription_oca.ir_cron_subscription_management")

    def bill():
        action.method_direct_trigger()
        _post_drafts(env)

    return bill


WAYS = {way.__name__: way for way in (floor, sale, billing, worker, contract, subscription_oca)}


def _invoice_values(order):
    """What the order's invoice says, without the links to the order and without what the addon adds."""
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
    # The action works in a transaction of its own.
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
        # What cannot be billed stays due: an action that asks for more because of it would be called for ever.
        if not wants_more or due == before:
            return
