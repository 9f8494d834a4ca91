import logging

from odoo import api, fields, models
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import SQL

from .runner import Runner, commit

_logger = logging.getLogger(__name__)


class SaleOrder(models.Model):
    """Scheduled actions: their turns, and how failing subscriptions are set aside."""

    _inherit = "sale.order"

    set_aside_on = fields.Date(
        copy=False,
        readonly=True,
        guarded=True,
        help="The last day on which a scheduled action failed for this order. On that day, it is processed separately "
        "from the others.",
    )

    @api.model
    def _with_company_lang(self):
        """Return the model in the language of the company, because its staff read what a scheduled action writes.

        :rtype: sale.order
        """
        return self.with_context(lang=self.env.company.partner_id.lang)

    @api.model
    def _run_turns(self, turns):
        """Run turns one after the other until time runs out; Odoo then calls the scheduled action again for the rest.

        :param list turns: :class:`~.runner.Turn` objects
        :return: the records for which at least one turn succeeded
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
        """Set a subscription aside even if scheduling an activity fails, so that the others can be processed.

        :param Exception error: as for :meth:`_set_aside`
        """
        try:
            with self.env.cr.savepoint():
                self._set_aside(error)
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            raise
        except Exception as worse:
            _logger.warning(
                "No activity was scheduled for order %s (id %s), which is set aside", self.name, self.id, exc_info=worse
            )
            # Plain SQL, because the ORM could fail again.
            self.env.cr.execute(
                SQL("UPDATE sale_order SET set_aside_on = %s WHERE id = %s", fields.Date.today(), self.id)
            )
            self.invalidate_recordset(["set_aside_on"])

    def _set_aside(self, error):
        """Set aside a subscription that could not be processed until the next run, and schedule an activity.

        :param Exception error: the error
        """
        self.ensure_one()
        _logger.warning("Subscription %s (id %s) is set aside", self.name, self.id, exc_info=error)
        self._write_subscription({"set_aside_on": fields.Date.today()})
        self._ask_for_attention(
            self.env._("Subscription needs attention"),
            self.env._(
                "A scheduled action could not process this subscription and will try again on its next run. "
                "Error: %(error)s",
                error=error,
            ),
        )
