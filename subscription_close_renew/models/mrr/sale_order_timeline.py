from collections import defaultdict
from itertools import pairwise

from odoo import api, fields, models


class SaleOrder(models.Model):
    """The timeline: what happened to a subscription and to the other orders in its chain of renewals."""

    _inherit = "sale.order"

    subscription_timeline = fields.Html(string="Timeline", compute="_compute_subscription_timeline", sanitize=False)

    @api.depends("origin_order_id", "subscription_state", "recurring_monthly")
    def _compute_subscription_timeline(self):
        subscriptions = self.filtered("origin_order_id")
        (self - subscriptions).subscription_timeline = False
        movements = subscriptions._get_timeline_movements()
        for order in subscriptions:
            events = self._get_timeline_events(movements.get(order.origin_order_id, movements[False]))
            order.subscription_timeline = events and self.env["ir.qweb"]._render(
                "subscription_close_renew.timeline", {"order": order, "events": events}
            )

    def _get_timeline_movements(self):
        """Return the movements of the chains of these subscriptions that the user may see.

        :return: `sale.subscription.movement` in chronological order, by first order
        :rtype: dict
        """
        movements = self.env["sale.subscription.movement"]
        # Users who may see orders without being salespeople or accountants see no movements.
        if self and movements.has_access("read"):
            movements = movements.search([("origin_order_id", "in", self.origin_order_id.ids)], order="id")
        # sudo: the search above has applied the access rules; the names on the movements may be shown.
        movements = movements.sudo()
        return defaultdict(movements.browse, movements.grouped("origin_order_id"))

    @api.model
    def _get_timeline_events(self, movements):
        """Return the events of a subscription, the latest first.

        :param movements: `sale.subscription.movement` of one chain, in chronological order
        :return: for each: ``date``, ``icon``, ``text``, ``order``, ``reason``, ``currency``, and its MRR ``before`` and
            ``after``
        :rtype: list
        """
        unseen = self._get_movements_behind_others(movements)
        balances = defaultdict(float)
        events = []
        for movement in movements:
            currency = movement.currency_id
            before = balances[currency]
            balances[currency] = after = currency.round(before + movement.amount)
            if movement not in unseen:
                events.append(self._prepare_timeline_event(movement, before, after))
        return events[::-1]

    @api.model
    def _prepare_timeline_event(self, movement, before, after):
        """Return one event, as for :meth:`_get_timeline_events`.

        :param movement: a `sale.subscription.movement`
        :param float before: MRR of the chain before the event
        :param float after: MRR of the chain after it
        :rtype: dict
        """
        return {
            "date": movement.date,
            "icon": self._get_timeline_icons().get(movement.kind, "fa-circle-o text-muted"),
            "text": self._get_timeline_text(movement),
            "order": movement.order_id,
            "reason": False,
            "currency": movement.currency_id,
            # A row of its own, which is hidden, took the MRR from the renewed order.
            "before": after if movement.kind == "renewal" else before,
            "after": after,
        }

    @api.model
    def _get_movements_behind_others(self, movements):
        """Return the movements that only balance the ledger: people would not recognise them as events.

        :param movements: as for :meth:`_get_timeline_events`
        :rtype: sale.subscription.movement
        """
        unseen = movements.filtered(
            lambda movement: (
                (movement.kind == "renewal" and movement.amount < 0)
                or (movement.kind == "currency" and movement.currency_id.compare_amounts(movement.amount, 0) <= 0)
            )
        )
        for order_movements in movements.grouped("order_id").values():
            for movement, following in pairwise(order_movements):
                # Closed while it was paused.
                if (movement.kind, following.kind) == ("resume", "churn") and movement.date == following.date:
                    unseen |= movement
        return unseen

    @api.model
    def _get_timeline_text(self, movement):
        """Return the text that the timeline shows for a movement.

        :param movement: a `sale.subscription.movement`
        :rtype: str
        """
        if movement.kind == "new" and movement.amount < 0:
            return self.env._("Confirmation cancelled")
        if text := self._get_timeline_texts().get(movement.kind):
            return text
        return dict(movement._fields["kind"]._description_selection(self.env))[movement.kind]

    @api.model
    def _get_timeline_texts(self):
        """Return the texts of the kinds of movements. Other kinds show the label of their selection.

        :return: ``{kind: text}``
        :rtype: dict
        """
        return {
            "new": self.env._("Started"),
            "expansion": self.env._("Price or quantity raised"),
            "contraction": self.env._("Price or quantity lowered"),
            "pause": self.env._("Paused"),
            "resume": self.env._("Resumed"),
            "renewal": self.env._("Renewed"),
            "churn": self.env._("Closed"),
            "reactivation": self.env._("Reopened"),
            "currency": self.env._("Currency changed"),
        }

    @api.model
    def _get_timeline_icons(self):
        """Return the icons of the kinds of movements. Other kinds have a plain one.

        :return: ``{kind: classes}`` of Font Awesome and Bootstrap
        :rtype: dict
        """
        return {
            "new": "fa-play text-success",
            "expansion": "fa-arrow-up text-success",
            "contraction": "fa-arrow-down text-danger",
            "pause": "fa-pause text-warning",
            "resume": "fa-play text-success",
            "renewal": "fa-refresh text-info",
            "churn": "fa-stop text-danger",
            "reactivation": "fa-undo text-success",
            "currency": "fa-exchange text-muted",
        }
