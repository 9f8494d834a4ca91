"""Watching the statements that Odoo sends to the database."""

from contextlib import contextmanager

from odoo import sql_db


@contextmanager
def watched(notice):
    """Call `notice(cursor, query, params)` before each statement."""
    execute = sql_db.Cursor.execute

    def noticing(self, query, params=None, log_exceptions=True):
        notice(self, query, params)
        return execute(self, query, params, log_exceptions)

    sql_db.Cursor.execute = noticing
    try:
        yield
    finally:
        sql_db.Cursor.execute = execute
