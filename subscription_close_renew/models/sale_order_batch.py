import logging

from odoo import api, models
from odoo.fields import Domain
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import split_every

_logger = logging.getLogger(__name__)

BATCH_SIZE = 100


class SaleOrder(models.Model):
    _inherit = "sale.order"

    @api.model
    def _run_for_due(self, date_field, states, method_name):
        """Call a method on all subscriptions whose date has come, in batches that each are committed.

        A record that fails is set aside; it neither stops nor undoes the others. Rows that another
        worker holds are left to it.

        :param str date_field: name of the date field
        :param tuple states: subscription states that count
        :param str method_name: method of `sale.order`, called on many records at a time
        """
        domain = Domain("subscription_state", "in", states) & self._get_due_domain(date_field)
        due_ids = self.search(domain, order=f"{date_field}, id").ids
        remaining = len(due_ids)
        self.env["ir.cron"]._commit_progress(remaining=remaining)
        for batch_ids in split_every(BATCH_SIZE, due_ids):
            # Once locked, a row is looked at again: another transaction may have dealt with it.
            batch = self.browse(batch_ids).try_lock_for_update().filtered_domain(domain)
            batch._call_set_aside_failing(method_name)
            remaining -= len(batch_ids)
            if not self.env["ir.cron"]._commit_progress(len(batch_ids), remaining=remaining):
                break

    def _call_set_aside_failing(self, method_name):
        """Call a method on many records; halve those that fail until the bad ones are alone, and set these aside."""
        if not self:
            return
        try:
            with self.env.cr.savepoint():
                getattr(self, method_name)()
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            # Somebody else works on these records at this moment: the next run finds them as they left them.
            _logger.info("Subscriptions %s are in use, and wait for the next run", self.ids)
        except Exception as error:
            if len(self) == 1:
                self._set_aside(error)
                return
            middle = len(self) // 2
            self[:middle]._call_set_aside_failing(method_name)
            self[middle:]._call_set_aside_failing(method_name)

    def _set_aside(self, error):
        """Tell the salesperson that a subscription could not be dealt with, once, and leave it for the next run.

        :param Exception error: what went wrong
        """
        self.ensure_one()
        _logger.warning("Subscription %s (id %s) is set aside", self.name, self.id, exc_info=error)
        summary = self.env._("Subscription needs attention")
        if self.activity_ids.filtered(lambda activity: activity.summary == summary):
            return
        self.activity_schedule(
            "mail.mail_activity_data_warning",
            summary=summary,
            note=self.env._(
                "A scheduled action could not deal with this subscription, and tries again at its next run. "
                "What went wrong: %(error)s",
                error=error,
            ),
            user_id=self.user_id.id or self.env.uid,
        )
