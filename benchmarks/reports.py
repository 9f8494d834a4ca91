"""The reports over many subscriptions with years of MRR movements, beside a bare sum of the same table.

The subscriptions are written by SQL, as copies of one that was made and confirmed through Odoo: what counts is what a
report reads, and that the sums agree.
"""

import json
import time
from contextlib import contextmanager

from odoo import sql_db
from odoo.tests import new_test_user
from odoo.tools import SQL

from . import world

MARKER = "MEASURED "
SALESPEOPLE = 20
YEARS = 3
TURNS = 3
MOVEMENT = "sale_subscription_movement"
LINE = "sale_order_line"
# A view: its bare sum reads the lines and their orders, too.
VIEW = "sale_subscription_report"
_LOGIN = "benchmark_salesperson"


def build(env, size):
    """Make a company with `size` subscriptions, of half as many customers, and their movements."""
    world.make_company(env)
    env = world.of_company(env)
    world.add_orders(env, "report", 1)
    [order] = world.records(env, "sale.order", "report")
    users = [_add_salesperson(env, number).id for number in range(SALESPEOPLE)]
    plans = env["sale.subscription.plan"].search([], limit=4).ids
    reasons = env["sale.order.close.reason"].search([], limit=5).ids
    env.flush_all()
    customers = _copy(env, "res_partner", order.partner_id.id, size // 2, commercial_partner_id=SQL("NULL"))
    env.cr.execute("UPDATE res_partner SET commercial_partner_id = id WHERE id = ANY(%s)", [customers])
    orders = _copy(
        env,
        "sale_order",
        order.id,
        size,
        name=SQL("'B' || number"),
        partner_id=SQL("%s + number %% %s", customers[0], len(customers)),
        user_id=_one_of(users),
        plan_id=_one_of(plans),
        # The second subscription of a customer begins half as long ago as the first.
        start_date=SQL(
            "CURRENT_DATE - (number %% %s * 31 %% %s) / (CASE WHEN number <= %s THEN 1 ELSE 2 END)",
            len(customers),
            YEARS * 365,
            len(customers),
        ),
        subscription_state=SQL("(ARRAY['progress', 'progress', 'progress', 'progress', 'churned'])[1 + number %% 5]"),
        close_reason_id=SQL("CASE WHEN number %% 5 = 4 THEN %s END", _one_of(reasons)),
        origin_order_id=SQL("NULL"),
        access_token=SQL("NULL"),
    )
    env.cr.execute("UPDATE sale_order SET origin_order_id = id WHERE id = ANY(%s)", [orders])
    _copy(env, LINE, order.order_line.id, size, order_id=SQL("%s + number - 1", orders[0]), salesman_id=_one_of(users))
    _add_movements(env, orders)
    env.cr.execute("DELETE FROM sale_order WHERE id = %s", [order.id])
    env.cr.commit()
    world.vacuum(env)


def measure(env, repeat=5):
    """Print, as JSON, what each report takes for an administrator and for a salesperson, and what bare sums take."""
    company = world.of_company(env).company
    salesperson = env["res.users"].search([("login", "=", f"{_LOGIN}_0")])
    administrator = env.ref("base.user_admin")
    sums = {
        MOVEMENT: SQL("SELECT SUM(amount_company) FROM sale_subscription_movement"),
        LINE: SQL("SELECT SUM(price_subtotal) FROM sale_order_line"),
        VIEW: SQL("SELECT SUM(recurring_monthly) FROM (%s) AS report", env["sale.subscription.report"]._table_query),
    }
    subscriptions = env["sale.subscription.report"].search_count([("company_id", "=", company.id)])
    movements = env["sale.subscription.movement"].search_count([("company_id", "=", company.id)])
    found = {"rows": [], "subscriptions": subscriptions, "movements": movements}
    context = {"lang": "en_US", "tz": "UTC", "allowed_company_ids": company.ids}
    bare = {table: lambda statement=statement: env.execute_query(statement) for table, statement in sums.items()}
    for table, work in bare.items():
        found["rows"].append({"name": f"sum() of {table}", "user": "", "table": table, **_compared(work, work, repeat)})
    for user in (administrator, salesperson):
        as_user = env(user=user.id, context=context)
        rights = "administrator" if user == administrator else "own documents"
        for name, (table, report) in REPORTS.items():
            took = _compared(lambda as_user=as_user, report=report: report(as_user), bare[table], repeat)
            found["rows"].append({"name": name, "user": rights, "table": table, **took})
    print(MARKER + json.dumps(found), flush=True)


# What Odoo's graphs ask of an amount.
_AMOUNT = ["company_currency_id:array_agg_distinct", "amount_company:sum_currency", "amount_company:sum"]


def _mrr_analysis(env):
    return env["sale.subscription.movement"].formatted_read_group([], ["date:month"], _AMOUNT)


def _mrr_breakdown(env):
    return env["sale.subscription.movement"].formatted_read_group([], ["date:month", "kind"], _AMOUNT)


def _churn(env):
    return env["sale.subscription.movement"].formatted_read_group(
        [("kind", "=", "churn")], ["date:month", "close_reason_id"], _AMOUNT
    )


def _subscriptions(env):
    return env["sale.subscription.report"].formatted_read_group(
        [("subscription_state", "=", "progress")],
        ["plan_id"],
        [
            "order_count:count_distinct",
            "currency_id:array_agg_distinct",
            "recurring_monthly:sum_currency",
            "recurring_monthly:sum",
            "recurring_yearly:sum_currency",
            "recurring_yearly:sum",
        ],
    )


def _retention(measure):
    return lambda env: env["sale.subscription.movement"].get_retention(measure, 12)


REPORTS = {
    "MRR Analysis": (MOVEMENT, _mrr_analysis),
    "MRR Breakdown": (MOVEMENT, _mrr_breakdown),
    "Churn": (MOVEMENT, _churn),
    "Subscriptions": (VIEW, _subscriptions),
    "Retention, customers": (MOVEMENT, _retention("customers")),
    "Retention, MRR": (MOVEMENT, _retention("mrr")),
}


def _compared(work, bare, repeat):
    """What a report takes, and the bare sum beside it, each in its best turn: others are at work on the machine, too.

    The cost is what the database expects of its largest statement.
    """
    work()
    with _noted_statements() as statements:
        work()
    turns = [(_seconds(bare), _seconds(work)) for _turn in range(TURNS * repeat)]
    least, took = (min(times) for times in zip(*turns, strict=True))
    return {
        "ms": took * 1000,
        "cost": max(_costs(statements)),
        "statements": len(statements),
        "ratio": took / least,
    }


def _seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def _noted_statements():
    noted = []
    execute = sql_db.Cursor.execute

    def noting(self, query, params=None, log_exceptions=True):
        code = query if isinstance(query, SQL) else SQL(query, *(params or ()))
        noted.append((self, code))
        return execute(self, query, params, log_exceptions)

    sql_db.Cursor.execute = noting
    try:
        yield noted
    finally:
        sql_db.Cursor.execute = execute


def _costs(statements):
    for cr, code in statements:
        if code.code.strip().startswith(("SELECT", "WITH")):
            cr.execute(SQL("EXPLAIN (FORMAT JSON) %s", code))
            [[[plan]]] = cr.fetchall()
            yield plan["Plan"]["Total Cost"]


def _add_salesperson(env, number):
    return new_test_user(
        env(context={**env.context, "no_reset_password": True}),
        login=f"{_LOGIN}_{number}",
        groups="sales_team.group_sale_salesman",
        company_id=env.company.id,
        company_ids=[(6, 0, env.company.ids)],
    )


def _one_of(ids):
    return SQL("(%s)[1 + (number * 13 / 7) %% %s]", ids, len(ids))


def _copy(env, table, record_id, count, **expressions):
    """Copy a row, with other values in some columns, which may say `number`; the new ids."""
    env.cr.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_name != 'id'", [table]
    )
    columns = [column for (column,) in env.cr.fetchall()]
    statement = SQL(
        "INSERT INTO %s (%s) SELECT %s FROM %s AS original, GENERATE_SERIES(1, %s) number WHERE id = %s RETURNING id",
        SQL.identifier(table),
        SQL(", ").join(map(SQL.identifier, columns)),
        SQL(", ").join(expressions.get(column) or SQL.identifier("original", column) for column in columns),
        SQL.identifier(table),
        count,
        record_id,
    )
    return sorted(record_id for (record_id,) in env.execute_query(statement))


def _add_movements(env, orders):
    """A start, a change every four months, a close where it ended; and the MRR of the orders that this sums up to."""
    insert = """
        INSERT INTO sale_subscription_movement
               (order_id, origin_order_id, company_id, currency_id, partner_id, plan_id, create_date, create_uid,
                kind, date, amount, amount_company, close_reason_id)
        SELECT orders.id, orders.id, orders.company_id, orders.currency_id, orders.partner_id, orders.plan_id, now(), 1,
    """
    orders_with_ids = "FROM sale_order orders WHERE orders.id = ANY(%s)"
    env.cr.execute(
        f"{insert} 'new', start_date, 20 + id %% 180, 20 + id %% 180, NULL::int {orders_with_ids}",
        [orders],
    )
    env.cr.execute(
        f"""
        {insert} CASE WHEN turn %% 4 = 0 THEN 'contraction' ELSE 'expansion' END, start_date + turn * 120,
                 CASE WHEN turn %% 4 = 0 THEN -2 ELSE 5 END, CASE WHEN turn %% 4 = 0 THEN -2 ELSE 5 END, NULL::int
          FROM sale_order orders, GENERATE_SERIES(1, %s) turn
         WHERE orders.id = ANY(%s) AND start_date + turn * 120 < CURRENT_DATE
        """,
        [YEARS * 3, orders],
    )
    env.cr.execute(
        f"""
        {insert} 'churn', ledger.last, -ledger.amount, -ledger.amount, close_reason_id
          FROM sale_order orders
          JOIN (SELECT order_id, SUM(amount) AS amount, MAX(date) AS last
                  FROM sale_subscription_movement GROUP BY order_id) ledger ON ledger.order_id = orders.id
         WHERE orders.id = ANY(%s) AND subscription_state = 'churned'
        """,
        [orders],
    )
    env.cr.execute(
        """
        UPDATE sale_order SET recurring_total = ledger.amount, recurring_monthly = ledger.amount
          FROM (SELECT order_id, SUM(amount) AS amount
                  FROM sale_subscription_movement GROUP BY order_id) ledger
         WHERE ledger.order_id = sale_order.id AND sale_order.id = ANY(%s)
        """,
        [orders],
    )
    env.cr.execute(
        "UPDATE sale_order_line line SET price_subtotal = orders.recurring_total"
        "  FROM sale_order orders WHERE orders.id = line.order_id AND orders.id = ANY(%s)",
        [orders],
    )
