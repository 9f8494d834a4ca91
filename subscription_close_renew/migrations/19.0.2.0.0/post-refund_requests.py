from odoo.tools import SQL


def migrate(cr, version):
    """Tell payments that somebody was asked to refund from those that somebody was asked to look up.

    Both had the same date before. What is done has no outcome to look up.
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
