from odoo import api, models


class AccountMoveSend(models.AbstractModel):
    _inherit = "account.move.send"

    @api.model
    def _generate_and_send_invoices(self, moves, from_cron=False, **kwargs):
        """Send the invoices of a scheduled run one by one if one of them fails: it must not hold up the others."""
        send = super()._generate_and_send_invoices
        if not from_cron or not moves._get_subscriptions():
            return send(moves, from_cron=from_cron, **kwargs)
        try:
            return send(moves, from_cron=from_cron, **kwargs)
        except Exception:
            self.env.cr.rollback()
        attachments = self.env["ir.attachment"]
        for move in moves:
            try:
                attachments |= send(move, from_cron=from_cron, **kwargs)
            except Exception as error:
                self.env.cr.rollback()
                if not move._get_subscriptions():
                    raise
                move._give_up_subscription_mail(error)
            self.env["ir.cron"]._commit_progress()
        return attachments
