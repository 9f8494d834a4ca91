from odoo.tools import SQL


def migrate(cr, version):
    """Mark the payments of unknown outcome that hold their subscription's exception: only these can end it."""
    cr.execute(
        SQL(
            """
            UPDATE payment_transaction payment
               SET subscription_holds_exception = TRUE, subscription_lookup_on = current_date
              FROM account_invoice_transaction_rel link
              JOIN account_move_line line ON line.move_id = link.invoice_id
              JOIN sale_order subscription ON subscription.id = line.subscription_id
             WHERE link.transaction_id = payment.id
               AND subscription.payment_exception
               AND (payment.subscription_amount_mismatch
                    OR (payment.state = 'draft' AND payment.operation IN ('offline', 'online_token')))
            """
        )
    )
