import logging
from math import isfinite

from odoo import api, models
from odoo.tools import SQL

from ...tools import mrr

_logger = logging.getLogger(__name__)


class SaleOrder(models.Model):
    """The check that the MRR ledger agrees with the orders."""

    _inherit = "sale.order"

    @api.model
    def _cron_subscription_mrr_check(self):
        """Compare the MRR ledger with the orders, and create an activity on each order that differs."""
        for difference in self._get_mrr_differences():
            order = self._with_company_lang().browse(difference["order_id"])
            _logger.warning("The MRR ledger of subscription %s (id %s) differs: %s", order.name, order.id, difference)
            try:
                with self.env.cr.savepoint():
                    order._ask_for_attention(order.env._("MRR differs"), order._get_mrr_difference_message(difference))
            except Exception as error:
                _logger.warning("No activity could be created for the MRR of order %s", order.id, exc_info=error)

    def _get_mrr_difference_message(self, difference):
        """Return, as a sentence, how the ledger of a subscription differs.

        :param dict difference: as from :meth:`_get_mrr_differences`
        :rtype: str
        """
        self.ensure_one()
        currency = self.env["res.currency"].browse(difference["currency_id"])
        live = currency.format(difference["live"])
        if not currency.compare_amounts(difference["live"], difference["booked"]):
            return self.env._(
                "The lines of %(order)s bring in %(live)s a month, but its MRR or recurring total differs.",
                order=self.name,
                live=live,
            )
        return self.env._(
            "%(order)s brings in %(live)s a month, but its movements add up to %(booked)s.",
            order=self.name,
            live=live,
            booked=currency.format(difference["booked"]),
        )

    @api.model
    def _get_mrr_differences(self):
        """Recompute the MRR of all subscriptions from their lines, and compare it with what is stored.

        Stored are the movements, and the amounts on the orders that lists and reports show.

        :return: for each difference: ``order_id``, ``currency_id``, ``live`` and ``booked`` (a month, in that
            currency), which are the same where it is the order that has another amount than its lines
        :rtype: list
        """
        self.env.flush_all()
        states = self._get_states_with_mrr()
        rows = self.env.execute_query_dict(
            SQL(
                """
                WITH live AS (
                    SELECT orders.id AS order_id, orders.currency_id, orders.subscription_state,
                           plans.billing_period_value, plans.billing_period_unit,
                           COALESCE(orders.recurring_total, 0) AS recurring_total,
                           COALESCE(orders.recurring_monthly, 0) AS recurring_monthly,
                           COALESCE(SUM(lines.price_subtotal), 0) AS total
                      FROM sale_order orders
                      JOIN sale_subscription_plan plans ON plans.id = orders.plan_id
                 LEFT JOIN sale_order_line lines ON lines.order_id = orders.id AND lines.is_recurring
                  GROUP BY orders.id, plans.id
                ), booked AS (
                    SELECT order_id, currency_id, SUM(amount) AS amount
                      FROM sale_subscription_movement
                  GROUP BY order_id, currency_id
                )
                SELECT order_id, currency_id, subscription_state, billing_period_value, billing_period_unit,
                       COALESCE(total, 0)::float AS total, COALESCE(amount, 0)::float AS booked,
                       COALESCE(recurring_total, 0)::float AS recurring_total,
                       COALESCE(recurring_monthly, 0)::float AS recurring_monthly
                  FROM live FULL JOIN booked USING (order_id, currency_id)
                 WHERE subscription_state IN %(states)s
                    OR COALESCE(amount, 0) != 0 OR recurring_monthly != 0 OR recurring_total != total
              ORDER BY order_id
                """,
                states=states,
            )
        )
        currencies = {
            currency.id: currency for currency in self.env["res.currency"].browse({row["currency_id"] for row in rows})
        }
        differences = []
        for row in rows:
            currency = currencies[row["currency_id"]]
            value, unit = row["billing_period_value"], row["billing_period_unit"]
            monthly = mrr.monthly_amount(row["total"], value, unit) if unit else 0.0
            # NaN cannot be rounded, and equals nothing.
            known = all(map(isfinite, (row["total"], row["booked"], row["recurring_total"], row["recurring_monthly"])))
            monthly = currency.round(monthly) if known else monthly
            live = monthly if row["subscription_state"] == "progress" else 0.0
            compared = (
                (live, row["booked"]),
                (row["total"], row["recurring_total"]),
                (monthly if row["subscription_state"] in states else 0.0, row["recurring_monthly"]),
            )
            if not known or any(currency.compare_amounts(*amounts) for amounts in compared):
                differences.append(
                    {"live": live, **{name: row[name] for name in ("order_id", "currency_id", "booked")}}
                )
        return differences
