from odoo import api, models

from .. import killing


class IrCron(models.Model):
    _inherit = "ir.cron"

    @api.model
    def _commit_progress(self, processed=0, **kwargs):
        seconds_left = super()._commit_progress(processed, **kwargs)
        if processed:
            killing.reach("moved")
        return seconds_left
