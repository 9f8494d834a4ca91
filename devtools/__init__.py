"""What ./dev does: Odoo's source, its environment, the databases, the tests and the screenshots.

Only the standard library is imported here, for ./dev starts before any virtual environment exists.
"""
