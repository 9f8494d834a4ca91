"""A company that has the version before upgrades: what is owed, booked and shown stays as it was."""

import io
import subprocess
import tarfile

import pytest

from devtools import project
from devtools.odoo import troubles

BEFORE = "e1cd97869a4c69e41d18705e02773677852c899b"
"""The last commit of version 19.0.1.0.0."""
KEPT = {
    "sale_order": "id, name, state, subscription_state, plan_id, start_date, anchor_date, next_invoice_date, end_date,"
    " closed_on, close_requested_on, resumed_on, term_end_date, auto_renew_on, close_reason_id, subscription_id,"
    " origin_order_id, payment_token_id, payment_exception, recurring_total, recurring_monthly, amount_total",
    "sale_order_line": "id, order_id, is_recurring, renewed_line_id, product_uom_qty, price_unit, price_total",
    "sale_subscription_period": "id, order_id, date_start, date_end, state, charge_state, retry_date, attempt_count",
    "sale_subscription_movement": "id, order_id, origin_order_id, kind, date, amount, amount_company",
    "account_move": "id, name, state, payment_state, amount_total, amount_residual",
    "account_move_line": "id, move_id, subscription_id, subscription_period_start, subscription_period_end, balance",
    "payment_transaction": "id, reference, state, amount",
}
"""What people and programs go by, by table."""
UNKNOWN = """
WITH charge AS (
    UPDATE payment_transaction SET state = 'draft', operation = 'offline'
     WHERE id = (SELECT min(link.transaction_id) FROM account_invoice_transaction_rel link
                   JOIN account_move_line line ON line.move_id = link.invoice_id AND line.subscription_id IS NOT NULL)
 RETURNING id
)
UPDATE sale_order SET payment_exception = TRUE
 WHERE id IN (SELECT line.subscription_id FROM charge
                JOIN account_invoice_transaction_rel link ON link.transaction_id = charge.id
                JOIN account_move_line line ON line.move_id = link.invoice_id AND line.subscription_id IS NOT NULL)
"""
"""Leaves a charge of the demonstration company without an answer."""


@pytest.fixture(scope="module")
def upgraded(place, base, tmp_path_factory):
    """The demonstration company of the version before, upgraded: its database, rows before, and what was logged."""
    folder = tmp_path_factory.mktemp("before")
    command = ["git", "archive", BEFORE, project.ADDON]
    packed = subprocess.run(command, cwd=project.ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder)
    name = place.scratch.database(place.databases, base, "upgrade")
    place.odoo.without_addon(folder).install(name, [project.ADDON])
    place.databases.sql(UNKNOWN, name)
    before = rows(place, name)
    logged = place.odoo.install(name, [project.ADDON], update=True)
    return name, before, logged


def rows(place, name):
    """What is kept, by table, in order."""
    return {
        table: place.databases.sql(f"SELECT {columns} FROM {table} ORDER BY id", name)
        for table, columns in KEPT.items()
    }


def test_upgrade_logs_nothing(upgraded):
    _name, _before, logged = upgraded
    assert troubles(logged) == []


def test_there_is_a_subscription_in_every_state(place, upgraded):
    name, _before, _logged = upgraded
    states = place.databases.sql("SELECT DISTINCT subscription_state FROM sale_order ORDER BY 1", name)
    assert {"quotation", "renewal", "progress", "paused", "renewed", "churned"} <= {state for [state] in states}


@pytest.mark.parametrize("table", KEPT)
def test_nothing_owed_or_booked_changes(place, upgraded, table):
    name, before, _logged = upgraded
    assert before[table]
    assert rows(place, name)[table] == before[table]


def test_ledger_agrees_with_the_orders(place, upgraded):
    name, _before, _logged = upgraded
    printed = place.odoo.script(
        name, "print('found:', env['sale.order']._get_mrr_differences())", "Checking the ledger"
    )
    assert "found: []" in printed


def test_mails_name_no_sender_who_has_left(place, upgraded):
    name, _before, _logged = upgraded
    senders = place.databases.sql(
        f"""SELECT template.email_from FROM mail_template template
              JOIN ir_model_data data ON data.model = 'mail.template' AND data.res_id = template.id
             WHERE data.module = '{project.ADDON}' AND template.email_from LIKE '%user_id%'""",
        name,
    )
    assert senders
    assert all("user_id.filtered('active')" in sender for [sender] in senders), senders


def test_only_the_charge_without_an_answer_holds_its_exception(place, upgraded):
    name, _before, _logged = upgraded
    held = place.databases.sql("SELECT state, operation FROM payment_transaction WHERE holds_exception", name)
    assert held == [["draft", "offline"]]
