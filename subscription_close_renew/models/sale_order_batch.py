import logging
from collections import Counter

from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import SQL, plaintext2html

_logger = logging.getLogger(__name__)

BATCH_SIZE = 100


class StopRun(UserError):
    """Nothing more of the same would succeed in this run."""


class SaleOrder(models.Model):
    _inherit = "sale.order"

    set_aside_on = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="The last day on which a scheduled action failed on this order: it is not put among others on that day.",
    )

    @api.model
    def _as_scheduled(self):
        """Return the model in the language of the company, whose staff read what a scheduled action writes.

        :rtype: sale.order
        """
        return self.with_context(lang=self.env.company.partner_id.lang)

    @api.model
    def _run_in_turn(self, *turns):
        """Call :meth:`_run_for_due` several times, as long as there is time; what is left comes when Odoo calls again.

        :param turns: for each call, a dict of its arguments
        :return: the records that one of the methods was called on with success
        :rtype: sale.order
        """
        done = self.browse()
        for number, turn in enumerate(turns):
            if number and not self.env["ir.cron"]._commit_progress():
                left = sum(self.search_count(later["domain"]) for later in turns)
                self.env["ir.cron"]._commit_progress(remaining=left)
                break
            done |= self._run_for_due(**turn)
        return done

    @api.model
    def _run_for_due(self, domain, date_field, method_name, size=BATCH_SIZE, most=1):
        """Call a method on all subscriptions of a domain, in batches that each are committed.

        The oldest date comes first. A record that fails is set aside; it neither stops nor undoes the others. Rows
        that another worker holds are left to it, so that any number of workers share the work.

        :param Domain domain: what is due; a record that was dealt with no longer fits it
        :param str date_field: name of the date field to begin with the oldest of
        :param str method_name: method of `sale.order`, called on many records at a time
        :param int size: most records in a batch
        :param int most: most calls for one record, which still fits the domain after each
        :return: the records that the method was called on with success
        :rtype: sale.order
        """
        done, tries, left = Counter(), Counter(), set()

        def waiting():
            return domain & Domain("id", "not in", list(left))

        progress = self.env["ir.cron"]._commit_progress
        progress(remaining=self.search_count(domain))
        in_time = True
        while in_time and (batch := self._lock_next(waiting(), date_field, size)):
            tries.update(batch.ids)
            try:
                failed = batch._call_alone(method_name) if size == 1 else batch._call_set_aside_failing(method_name)
                done.update((batch - failed).ids)
                left.update(failed.ids)
                in_time = progress(len(batch))
            except StopRun as error:
                self.env.cr.rollback()
                batch._set_aside_safely(error)
                progress(remaining=0)
                break
            except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
                # Somebody else works on these records at this moment: a new transaction sees how they left them.
                self.env.cr.rollback()
            left.update(order_id for order_id in batch.ids if done[order_id] >= most or tries[order_id] >= most + 2)
        else:
            # Out of time, Odoo calls the scheduled action again at once, as long as it says that something is left.
            progress(remaining=0 if in_time else self.search_count(waiting()))
        return self.browse(done)

    @api.model
    def _lock_next(self, domain, date_field, size):
        """Lock the records of a domain that come first, without those that another transaction holds.

        To be called at the beginning of a transaction: nothing of before is known any more.

        :rtype: sale.order
        """
        query = self._search(domain, order=f"{date_field}, id", limit=size)
        rows = SQL("%s FOR NO KEY UPDATE OF %s SKIP LOCKED", query.select(), SQL.identifier(self._table))
        try:
            return self.browse(order_id for (order_id,) in self.env.execute_query(rows))
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            # Another worker was quicker by a moment: what it did is seen by a new transaction.
            self.env.cr.rollback()
            return self._lock_next(domain, date_field, size)

    def _call_alone(self, method_name):
        """Call a method on one record, which may commit; a failure undoes what was not committed, and sets it aside.

        :return: the record, if the method failed on it
        :rtype: sale.order
        """
        try:
            getattr(self, method_name)()
            self.env.cr.flush()
            return self.browse()
        except (StopRun, *PG_CONCURRENCY_EXCEPTIONS_TO_RETRY):
            raise
        except Exception as error:
            self.env.cr.rollback()
            self._set_aside_safely(error)
            return self

    def _call_set_aside_failing(self, method_name):
        """Call a method on many records; halve those that fail until the bad ones are alone, and set these aside.

        :return: the records on which the method failed
        :rtype: sale.order
        """
        try:
            with self.env.cr.savepoint():
                getattr(self, method_name)()
            return self.browse()
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            raise
        except Exception as error:
            if len(self) == 1:
                self._set_aside_safely(error)
                return self
            middle = len(self) // 2
            halves = self[:middle], self[middle:]
            return self.browse().concat(*(half._call_set_aside_failing(method_name) for half in halves))

    def _set_aside_safely(self, error):
        """Set a subscription aside, whatever is wrong with it: that nobody can be told stops none of the others.

        :param Exception error: as for :meth:`_set_aside`
        """
        try:
            with self.env.cr.savepoint():
                self._set_aside(error)
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            raise
        except Exception as worse:
            _logger.warning("Nobody was told that order %s (id %s) is set aside", self.name, self.id, exc_info=worse)
            # Past all that could fail once more.
            self.env.cr.execute(
                SQL("UPDATE sale_order SET set_aside_on = %s WHERE id = %s", fields.Date.today(), self.id)
            )
            self.invalidate_recordset(["set_aside_on"])

    def _set_aside(self, error):
        """Tell the salesperson that a subscription could not be dealt with, once, and leave it for the next run.

        :param Exception error: what went wrong
        """
        self.ensure_one()
        _logger.warning("Subscription %s (id %s) is set aside", self.name, self.id, exc_info=error)
        self._write_subscription({"set_aside_on": fields.Date.today()})
        self._ask_for_attention(
            self.env._("Subscription needs attention"),
            self.env._(
                "A scheduled action could not deal with this subscription, and tries again at its next run. "
                "What went wrong: %(error)s",
                error=error,
            ),
        )

    def _ask_for_attention(self, summary, note):
        """Give somebody who deals with the subscription an activity, unless there is one with this summary already.

        :param str summary: what it is about, in a few words
        :param note: what to do (str or Markup)
        """
        self.ensure_one()
        user = self._get_attentive_user()
        # sudo: an activity of a colleague who has left may be nobody's to read; it is only handed over.
        same = self.sudo().activity_ids.filtered(lambda activity: activity.summary == summary)
        if any(self._can_attend(colleague) for colleague in same.user_id):
            return
        # Text is shown as it is, also an error that speaks of <tags>.
        note = note if isinstance(note, Markup) else plaintext2html(note)
        if same:
            same.write({"user_id": user.id, "note": note})
        else:
            order = self.with_context(mail_activity_automation_skip=False)
            order.activity_schedule("mail.mail_activity_data_warning", summary=summary, note=note, user_id=user.id)
