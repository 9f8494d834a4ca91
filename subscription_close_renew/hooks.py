from odoo.tools.sql import column_exists, create_column

# Stored computed columns, empty on orders without a recurring plan: all of those that exist at installation.
COMPUTED_COLUMNS = {
    "sale_order": {
        "subscription_state": "varchar",
        "recurring_total": "numeric",
        "recurring_monthly": "numeric",
        "origin_order_id": "int4",
    },
    "sale_order_line": {"is_recurring": "bool"},
}


def pre_init_hook(env):
    """Create the columns that would otherwise be computed for every order of the past."""
    for table, columns in COMPUTED_COLUMNS.items():
        for column, column_type in columns.items():
            if not column_exists(env.cr, table, column):
                create_column(env.cr, table, column, column_type)


def uninstall_hook(env):
    """Delete the recurring prices: without their plan they would become ordinary prices."""
    env["product.pricelist.item"].with_context(active_test=False).search([("plan_id", "!=", False)]).unlink()
