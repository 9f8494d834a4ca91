import logging

from odoo import api, fields, models
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import SQL

from .runner import Runner, commit

_logger = logging.getLogger(__name__)


class SaleOrder(models.Model):
    """Scheduled actions: their turns, and what becomes of a subscription on which one fails."""

    _inherit = "sale.order"

    set_aside_on = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="The last day on which a scheduled action failed for this order. On that day it is processed apart from "
        "the others.",
    )

    @api.model
    def _with_company_lang(self):
        """Return the model in the language of the company, whose staff read what a scheduled action writes.

        :rtype: sale.order
        """
        return self.with_context(lang=self.env.company.partner_id.lang)

    @api.model
    def _run_turns(self, turns):
        """Carry out turns one after the other, as long as there is time; the rest follows when Odoo calls again.

        :param list turns: of :class:`~.runner.Turn`
        :return: the records for which one of them succeeded
        :rtype: sale.order
        """
        done = self.browse()
        for number, turn in enumerate(turns):
            if number and not commit(self.env):
                commit(self.env, remaining=sum(self.search_count(later.domain) for later in turns))
                break
            done |= Runner(self, turn).run()
        return done

    def _set_aside_safely(self, error):
        """Set a subscription aside, whatever is wrong with it: if nobody can be told, the others still come next.

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
        """Leave a subscription that could not be processed for the next run, and ask somebody to look at it.

        :param Exception error: what went wrong
        """
        self.ensure_one()
        _logger.warning("Subscription %s (id %s) is set aside", self.name, self.id, exc_info=error)
        self._write_subscription({"set_aside_on": fields.Date.today()})
        self._ask_for_attention(
            self.env._("Subscription needs attention"),
            self.env._(
                "A scheduled action could not process this subscription. It will try again at its next run. "
                "What went wrong: %(error)s",
                error=error,
            ),
        )
