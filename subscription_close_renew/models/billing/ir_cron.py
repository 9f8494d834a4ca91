from odoo import api, models
from odoo.exceptions import ValidationError

BILLING_CODE = "model._cron_subscription_billing()"
MAX_BILLING_WORKERS = 16


class IrCron(models.Model):
    _inherit = "ir.cron"

    @api.model
    def _get_subscription_billing_crons(self):
        """Return the scheduled actions that invoice subscriptions, one per worker, the original first.

        :rtype: ir.cron
        """
        domain = [("model_id.model", "=", "sale.order"), ("code", "=", BILLING_CODE)]
        return self.with_context(active_test=False).search(domain, order="id")

    @api.model
    def _set_subscription_billing_workers(self, count):
        """Set the number of scheduled actions that invoice subscriptions in parallel.

        They share the work through PostgreSQL's row locks.

        :param int count: 1 to 16
        :raises ValidationError: for another number
        """
        if not 1 <= count <= MAX_BILLING_WORKERS:
            raise ValidationError(
                self.env._(
                    "Parallel billing workers: enter a number from 1 to %(most)s, not %(count)s.",
                    most=MAX_BILLING_WORKERS,
                    count=count,
                )
            )
        crons = self._get_subscription_billing_crons()
        crons[count:].unlink()
        original = crons[:1]
        for number in range(len(crons) + 1, count + 1):
            original.copy(
                {
                    "name": self.env._("Subscriptions: invoices and payments, worker %(number)s", number=number),
                    "active": original.active,
                    "nextcall": original.nextcall,
                }
            )
