from odoo.tools import SQL
from odoo.tools.sql import column_exists, rename_column

RENAMED = {
    "payment.token": {"valid_until": "subscription_valid_until"},
    "payment.transaction": {
        "amount_mismatch": "subscription_amount_mismatch",
        "holds_exception": "subscription_holds_exception",
        "told_on": "subscription_lookup_on",
    },
    "sale.order": {"term_end_date": "end_date_before_close"},
    "sale.order.line": {"renewed_price_unit": "previous_price_unit"},
}
"""Renamed fields by model: {old name: new name}."""


def migrate(cr, version):
    """Rename fields without losing stored data or breaking customized views."""
    for model, names in RENAMED.items():
        table = model.replace(".", "_")
        for before, since in names.items():
            if column_exists(cr, table, before):
                rename_column(cr, table, before, since)
            rename_field(cr, model, before, since)
            rename_in_views(cr, model, before, since)
    # The name of the index contains the old name of the field.
    cr.execute(SQL("DROP INDEX IF EXISTS payment_transaction_holds_exception_idx"))


def rename_field(cr, model, before, since):
    """Rename the record of a field, so that references to it, such as export templates, are kept.

    :param cr: a cursor
    :param str model: name of the model
    :param str before: old name of the field
    :param str since: new name of the field
    """
    cr.execute(
        SQL("UPDATE ir_model_fields SET name = %s WHERE model = %s AND name = %s RETURNING id", since, model, before)
    )
    for (field_id,) in cr.fetchall():
        prefix = f"field_{model.replace('.', '_')}__"
        cr.execute(
            SQL(
                "UPDATE ir_model_data SET name = %s WHERE model = 'ir.model.fields' AND res_id = %s AND name = %s",
                f"{prefix}{since}",
                field_id,
                f"{prefix}{before}",
            )
        )
    cr.execute(
        SQL(
            """
            UPDATE ir_exports_line AS line
               SET name = %s
              FROM ir_exports AS export
             WHERE export.id = line.export_id AND export.resource = %s AND line.name = %s
            """,
            since,
            model,
            before,
        )
    )


def rename_in_views(cr, model, before, since):
    """Rename a field in views and saved filters of users or other addons.

    :param cr: a cursor
    :param str model: name of the model; order lines are shown in views of orders
    :param str before: old name of the field
    :param str since: new name of the field
    """
    models = [model, "sale.order"] if model == "sale.order.line" else [model]
    word = f"\\m{before}\\M"
    cr.execute(
        SQL(
            """
            UPDATE ir_ui_view
               SET arch_db = regexp_replace(arch_db::text, %(word)s, %(since)s, 'g')::jsonb
             WHERE model IN %(models)s AND arch_db::text ~ %(word)s
            """,
            word=word,
            since=since,
            models=tuple(models),
        )
    )
    for column in ("domain", "context"):
        cr.execute(
            SQL(
                "UPDATE ir_filters SET %(column)s = regexp_replace(%(column)s, %(word)s, %(since)s, 'g')"
                " WHERE model_id = %(model)s AND %(column)s ~ %(word)s",
                column=SQL.identifier(column),
                word=word,
                since=since,
                model=model,
            )
        )
