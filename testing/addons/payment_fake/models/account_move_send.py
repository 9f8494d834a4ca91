from odoo import models

from .. import killing


class AccountMoveSend(models.AbstractModel):
    _inherit = "account.move.send"

    def _send_mail(self, move, mail_template, **kwargs):
        killing.reach("mailing")
        res = super()._send_mail(move, mail_template, **kwargs)
        killing.reach("mailed")
        return res

    def _generate_and_send_invoices(self, moves, **options):
        res = super()._generate_and_send_invoices(moves, **options)
        killing.reach("all-mailed")
        return res
