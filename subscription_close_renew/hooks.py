from odoo.tools.sql import column_exists, create_column

from .models.subscription.ir_module_module import refuse_incompatible_addon

# Stored computed columns that are empty without a recurring plan, and so on every order that exists at installation.
COMPUTED_COLUMNS = {
    "sale_order": {
        "subscription_state": "varchar",
        "recurring_total": "numeric",
        "recurring_monthly": "numeric",
        "origin_order_id": "int4",
        "term_periods": "int4",
        "term_end_action": "varchar",
    },
    "sale_order_line": {"is_recurring": "bool"},
}


# Demo records that invoices refer to: they are kept when the addon is uninstalled.
DEMO_MODELS = ("payment.token", "payment.transaction", "product.template", "res.partner", "sale.order")


def pre_init_hook(env):
    """Create the columns that Odoo would otherwise compute for every existing order.

    :raises UserError: if Odoo's proprietary Subscriptions app is installed, or about to be
    """
    refuse_incompatible_addon(env)
    for table, columns in COMPUTED_COLUMNS.items():
        for column, column_type in columns.items():
            if not column_exists(env.cr, table, column):
                create_column(env.cr, table, column, column_type)


def uninstall_hook(env):
    """Turn subscriptions into ordinary orders, and delete what would be misread without a plan.

    A recurring price without its plan would be an ordinary price.
    """
    env["ir.cron"]._get_subscription_billing_crons().unlink()
    env["product.pricelist.item"].with_context(active_test=False).search([("plan_id", "!=", False)]).unlink()
    # Odoo deletes plans and close reasons before the records that refer to them.
    env.invalidate_all()
    env.cr.execute("DELETE FROM sale_subscription_movement")
    env.cr.execute("UPDATE sale_order SET plan_id = NULL, close_reason_id = NULL WHERE plan_id IS NOT NULL")
    # Demo orders have invoices, so they stay, with their products, like any other order.
    kept = [("module", "=", "subscription_close_renew"), ("model", "in", DEMO_MODELS)]
    env["ir.model.data"].search(kept).unlink()
