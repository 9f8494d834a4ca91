"""Odoo's command line as a program: with workers, Odoo starts itself again by the name of its program."""

from odoo.cli.command import main

if __name__ == "__main__":
    main()
