"""The measurements of ./dev bench. Each runs inside Odoo, in a process of its own."""
