from odoo.tools.sql import column_exists, create_column

from .models.subscription.ir_module_module import refuse_incompatible_addon

# Stored computed columns, empty on orders without a recurring plan: all of those that exist at installation.
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


# Of the demonstration company: what is invoiced stays with what it was made of.
DEMO_MODELS = ("payment.token", "payment.transaction", "product.template", "res.partner", "sale.order")


def pre_init_hook(env):
    """Create the columns that would otherwise be computed for every order of the past.

    :raises UserError: if Odoo's proprietary Subscriptions app is there
    """
    refuse_incompatible_addon(env)
    for table, columns in COMPUTED_COLUMNS.items():
        for column, column_type in columns.items():
            if not column_exists(env.cr, table, column):
                create_column(env.cr, table, column, column_type)


def uninstall_hook(env):
    """Leave ordinary orders and products behind, and no recurring price: without its plan it would be an ordinary one."""
    env["ir.cron"]._get_subscription_billing_crons().unlink()
    env["product.pricelist.item"].with_context(active_test=False).search([("plan_id", "!=", False)]).unlink()
    # Plans and close reasons are deleted before what refers to them.
    env.invalidate_all()
    env.cr.execute("DELETE FROM sale_subscription_movement")
    env.cr.execute("UPDATE sale_order SET plan_id = NULL, close_reason_id = NULL WHERE plan_id IS NOT NULL")
    # The demonstration company's orders are invoiced, and stay with their products as any other's.
    kept = [("module", "=", "subscription_close_renew"), ("model", "in", DEMO_MODELS)]
    env["ir.model.data"].search(kept).unlink()
