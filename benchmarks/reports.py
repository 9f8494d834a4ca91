"""Measuring the reports over many subscriptions with years of MRR movements, and bare sums of the same tables.

SQL copies the subscriptions from one that was made and confirmed through Odoo: only what the reports read has to be
right, and that the sums agree.
"""

import time

from odoo.tests import new_test_user
from odoo.tools import SQL

from . import answer, data
from .statements import watched

SALESPEOPLE = 20
YEARS = 3
TURNS = 3
MOVEMENT = "sale_subscription_movement"
LINE = "sale_order_line"
# This is a view: its bare sum also reads the orders of the lines.
VIEW = "sale_subscription_report"
_LOGIN = "benchmark_salesperson"


def build(env, size):
    """Make a company with `size` subscriptions, of half as many customers, and their movements."""
    data.make_company(env)
    env = data.of_company(env)
    data.add_orders(env, "report", 1)
    [order] = data.records(env, "sale.order", "report")
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
        # A customer's second subscription started half as long ago as the first.
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
    data.vacuum(env)


def measure(env, repeat=5):
    """Print the figures of each report for an administrator and for a salesperson, and those of the bare sums."""
    company = data.of_company(env).company
    salesperson = env["res.users"].search([("login", "=", f"{_LOGIN}_0")])
    administrator = env.ref("base.user_admin")
    sums = {
        MOVEMENT: SQL("SELECT SUM(amount_company) FROM sale_subscription_movement"),
        LINE: SQL("SELECT SUM(price_subtotal) FROM sale_order_line"),
        VIEW: SQL("SELECT SUM(recurring_monthly) FROM (%s) AS report", env["sale.subscription.report"]._table_query),
    }
    context = {"lang": "en_US", "tz": "UTC", "allowed_company_ids": company.ids}
    bare = {table: lambda statement=statement: env.execute_query(statement) for table, statement in sums.items()}
    rows = [{"report": f"sum() of {table}", **_figures(work, work, repeat)} for table, work in bare.items()]
    for user, rights in ((administrator, "administrator"), (salesperson, "own documents")):
        as_user = env(user=user.id, context=context)
        for name, (table, report) in REPORTS.items():
            took = _figures(lambda as_user=as_user, report=report: report(as_user), bare[table], repeat)
            rows.append({"report": name, "user": rights, **took})
    of_company = [("company_id", "=", company.id)]
    answer.write(
        {
            "rows": rows,
            "subscriptions": env["sale.subscription.report"].search_count(of_company),
            "movements": env["sale.subscription.movement"].search_count(of_company),
        }
    )


# The aggregates that Odoo's graphs read of an amount.
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


def _figures(work, bare, repeat):
    """Return the figures of a report. It takes turns with the bare sum, and the best turn of each counts.

    The cost is what the database estimates for the largest statement.
    """
    work()
    statements = []
    with watched(lambda cr, query, params: statements.append((cr, SQL(query, *(params or ()))))):
        work()
    turns = [(_seconds(bare), _seconds(work)) for _turn in range(TURNS * repeat)]
    least, took = (min(times) for times in zip(*turns, strict=True))
    return {
        "ms": took * 1000,
        "cost": max(_costs(statements)),
        "queries": len(statements),
        "× sum()": took / least,
    }


def _seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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
    """Copy a row `count` times; return the new ids.

    :param expressions: other values for some columns, which may use the `number` of the copy
    """
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
    """Add a start, a change every four months, and a close where it ended; then set the orders to the resulting MRR."""
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
