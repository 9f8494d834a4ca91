"""The commands of ./dev: Odoo's source, its environment, databases, tests and screenshots.

./dev starts before there is a virtual environment: a module that needs its packages says so, and is imported after
`workspace.enter` or in tests. All others import the standard library only.
"""
