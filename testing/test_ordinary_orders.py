"""Ordinary orders take no more queries with the addon than without it."""

import json

from devtools import project

COUNT_QUERIES = """
import json
from odoo.fields import Command

def sell():
    counts = {}
    partner = env["res.partner"].create({"name": "Buyer"})
    product = env["product.product"].create({"name": "Chair", "list_price": 10, "invoice_policy": "order"})

    def count(step, do):
        env.flush_all()
        env.cr.flush()
        env.invalidate_all()
        before = env.cr.sql_log_count
        result = do()
        env.flush_all()
        env.cr.flush()
        counts[step] = env.cr.sql_log_count - before
        return result

    lines = [Command.create({"product_id": product.id, "product_uom_qty": quantity}) for quantity in (1, 2, 3)]
    order = count("create", lambda: env["sale.order"].create({"partner_id": partner.id, "order_line": lines}))
    count("write", lambda: order.order_line[0].write({"product_uom_qty": 4}))
    count("confirm", order.action_confirm)
    invoice = count("invoice", order._create_invoices)
    count("post", invoice.action_post)
    count("reset", invoice.button_draft)
    duplicate = count("copy", order.copy)
    count("cancel", duplicate.action_cancel)
    count("list", lambda: env["sale.order"].search([]).web_read({"name": {}, "amount_total": {}, "state": {}}))
    return counts

sell()
env.cr.rollback()
print("QUERIES", json.dumps(sell()))
"""


def _count(place, database):
    printed = place.odoo.script(database, COUNT_QUERIES, "counting the queries of an ordinary order")
    [counts] = [line for line in printed.splitlines() if "QUERIES" in line]
    return json.loads(counts.split("QUERIES", 1)[1])


def test_ordinary_order_issues_no_query_more_than_without_the_addon(place, base):
    without = place.scratch.database(place.databases, base, "without")
    with_addon = place.scratch.database(place.databases, base, "with")
    place.odoo.install(with_addon, [project.ADDON])
    before, after = _count(place, without), _count(place, with_addon)
    assert before["create"] > 10, before
    assert {step: after[step] - before[step] for step in before if after[step] > before[step]} == {}
