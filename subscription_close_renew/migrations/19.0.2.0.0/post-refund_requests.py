from odoo.tools import SQL


def migrate(cr, version):
    """Move the date of refund requests to its own field.

    Refunds and unknown outcomes shared one date before. Payments that are done have no outcome to look up.
    """
    cr.execute(
        SQL(
            """
            UPDATE payment_transaction
               SET subscription_refund_requested_on = subscription_lookup_on, subscription_lookup_on = NULL
             WHERE state = 'done' AND subscription_lookup_on IS NOT NULL
            """
        )
    )
