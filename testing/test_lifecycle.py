"""Installing, upgrading and uninstalling the addon leaves the existing documents unchanged."""

import re

import pytest

from devtools import project
from devtools.odoo import troubles

ORDINARY = ("sale_order", "sale_order_line", "account_move", "account_move_line")
MANY = 10_000


class Ordinary:
    """The rows of ordinary documents in a database when this object is created."""

    def __init__(self, sql, name):
        self.query = lambda statement: sql(statement, name)
        self.columns = {table: self.columns_of(table) for table in ORDINARY}
        self.last = {table: self.query(f"SELECT coalesce(max(id), 0) FROM {table}")[0][0] for table in ORDINARY}
        self.before = self.checksums()

    def columns_of(self, table):
        rows = self.query(
            f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' ORDER BY column_name"
        )
        return [row[0] for row in rows]

    def checksums(self):
        """Return a checksum for each table, over its initial rows and columns."""
        sums = {}
        for table, columns in self.columns.items():
            chosen = ", ".join(f'"{column}"' for column in columns)
            rows = f"SELECT {chosen} FROM {table} WHERE id <= {self.last[table]}"
            sums[table] = self.query(f"SELECT count(*), md5(string_agg(r::text, '|' ORDER BY r.id)) FROM ({rows}) r")[0]
        return sums


@pytest.fixture(scope="module")
def database(place, base):
    """A company with existing sales, without the addon."""
    return _real(place, base, "lifecycle")


@pytest.fixture(scope="module")
def ordinary(place, database):
    return Ordinary(place.databases.sql, database)


class TestLifecycle:
    """The tests run in this order, which is that of a company's steps."""

    def test_there_are_documents_to_compare(self, ordinary):
        assert all(int(count) > 5 for count, _sum in ordinary.before.values()), ordinary.before

    def test_install(self, place, database, ordinary):
        assert troubles(place.odoo.install(database, [project.ADDON])) == []
        assert ordinary.checksums() == ordinary.before

    def test_upgrade(self, place, database, ordinary):
        assert troubles(place.odoo.install(database, [project.ADDON], update=True)) == []
        assert ordinary.checksums() == ordinary.before

    def test_uninstall(self, place, database, ordinary):
        assert troubles(place.odoo.uninstall(database, [project.ADDON])) == []
        assert ordinary.checksums() == ordinary.before

    def test_nothing_is_left(self, place, database, ordinary):
        assert {table: ordinary.columns_of(table) for table in ORDINARY} == ordinary.columns
        left = place.databases.sql(
            f"""SELECT 'table ' || tablename FROM pg_tables WHERE tablename LIKE 'sale_subscription%'
                UNION ALL SELECT 'record ' || name FROM ir_model_data WHERE module = '{project.ADDON}'
                UNION ALL SELECT 'action ' || cron_name FROM ir_cron WHERE cron_name ILIKE '%subscription%'""",
            database,
        )
        assert left == []

    def test_reinstall(self, place, database, ordinary):
        assert troubles(place.odoo.install(database, [project.ADDON])) == []
        assert ordinary.checksums() == ordinary.before


def test_demonstration_company_keeps_its_orders_when_the_addon_goes(place):
    template, _troubles = place.databases.addon_template()
    name = place.scratch.database(place.databases, template, "demonstration")

    def orders():
        return place.databases.sql("SELECT count(*), sum(amount_total), min(state) FROM sale_order", name)

    before = orders()
    assert troubles(place.odoo.uninstall(name, [project.ADDON])) == []
    assert orders() == before


def test_installation_does_not_pause_for_each_order(place, base):
    """With ten thousand orders, the installation takes as many queries as with a few."""
    statements = {}
    for label, orders in (("few", 0), ("many", MANY)):
        name = _real(place, base, label)
        if orders:
            _sell(place.databases.sql, name, orders)
        log = place.odoo.install(name, [project.ADDON], level="info")
        loaded = re.search(rf"Module {project.ADDON} loaded in .*?, (\d+) queries", log)
        assert loaded, log[-2000:]
        statements[label] = int(loaded[1])
        place.databases.drop(name)
    # Reading in batches of a thousand passes; a query for each order, or for every ten, does not.
    assert statements["many"] - statements["few"] < MANY / 100, statements


def _real(place, base, label):
    """Copy a database marked as having no demo data, so that the addon loads none."""
    name = place.scratch.database(place.databases, base, label)
    place.databases.sql("UPDATE ir_module_module SET demo = FALSE", name)
    return name


def _sell(sql, database, orders):
    """Copy a demo order with its lines that many times, by SQL alone."""

    def query(statement):
        return sql(statement, database)

    [[origin]] = query("SELECT order_id FROM sale_order_line WHERE product_id IS NOT NULL LIMIT 1")
    new = {"id": "made.id", "name": "'COPY' || made.n", "access_token": "NULL"}
    new_line = {"id": "nextval('sale_order_line_id_seq')", "order_id": "made.id"}
    query(
        f"CREATE TEMP TABLE made AS SELECT nextval('sale_order_id_seq') AS id, n FROM generate_series(1, {orders}) n;"
        + _copying(query, "sale_order", f"t.id = {origin}", **new)
        + _copying(query, "sale_order_line", f"t.order_id = {origin}", **new_line)
    )
    [[count]] = query("SELECT count(*) FROM sale_order")
    assert int(count) > orders


def _copying(query, table, condition, **changed):
    rows = query(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'")
    columns = [row[0] for row in rows]
    chosen = ", ".join(changed.get(column, f't."{column}"') for column in columns)
    quoted = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {table} ({quoted}) SELECT {chosen} FROM {table} t, made WHERE {condition};"
