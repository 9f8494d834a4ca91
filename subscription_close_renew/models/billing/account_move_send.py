from odoo import api, models
from odoo.tools import email_normalize

from ..subscription.runner import commit


class AccountMoveSend(models.AbstractModel):
    _inherit = "account.move.send"

    @api.model
    def _get_mail_default_field_value_from_template(self, mail_template, lang, move, field, **kwargs):
        value = super()._get_mail_default_field_value_from_template(mail_template, lang, move, field, **kwargs)
        salesperson = move.invoice_user_id
        # Do not send invoices of subscriptions in the name of a salesperson who has left.
        left = field == "email_from" and salesperson and not salesperson.active
        if left and email_normalize(value) == salesperson.email_normalized and move._get_subscriptions():
            return move.company_id.email_formatted
        return value

    @api.model
    def _generate_and_send_invoices(
        self, moves, from_cron=False, allow_raising=True, allow_fallback_pdf=False, **custom_settings
    ):
        """Send the invoices of a scheduled run one by one if one of them fails, so that it does not block the others."""

        def send(moves):
            return super(AccountMoveSend, self)._generate_and_send_invoices(
                moves,
                from_cron=from_cron,
                allow_raising=allow_raising,
                allow_fallback_pdf=allow_fallback_pdf,
                **custom_settings,
            )

        if not from_cron or not moves._get_subscriptions():
            return send(moves)
        try:
            return send(moves)
        except Exception:
            self.env.cr.rollback()
        attachments = self.env["ir.attachment"]
        for move in moves:
            try:
                attachments |= send(move)
            except Exception as error:
                self.env.cr.rollback()
                if not move._get_subscriptions():
                    raise
                move._give_up_subscription_mail(error)
            commit(self.env)
        return attachments
