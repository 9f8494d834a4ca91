"""Measurements that ./dev bench makes. These modules run inside Odoo, in a process each."""
