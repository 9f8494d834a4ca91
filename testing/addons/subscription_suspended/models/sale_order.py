from dateutil.relativedelta import relativedelta

from odoo import api, fields, models


class SaleOrder(models.Model):
    """A subscription can be suspended: it is running, but nothing is delivered and its MRR is zero."""

    _inherit = "sale.order"

    subscription_state = fields.Selection(
        selection_add=[("suspended", "Suspended")], ondelete={"suspended": "set null"}
    )

    @api.model
    def _get_transitions(self):
        transitions = super()._get_transitions()
        return transitions | {
            "suspend": {"progress": "suspended"},
            "restore": {"suspended": "progress"},
            "close": transitions["close"] | {"suspended": "churned"},
        }

    @api.model
    def _get_running_states(self):
        return (*super()._get_running_states(), "suspended")

    @api.model
    def _get_event_kinds(self):
        return super()._get_event_kinds() | dict.fromkeys(("suspend", "restore"), "suspension")

    @api.model
    def _get_state_refusals(self, action):
        refusals = super()._get_state_refusals(action)
        if action == "renew":
            refusals["suspended"] = self.env._("%(order)s is suspended. Restore it: then it can be renewed.")
        return refusals

    def _get_close_refusal(self, when=None, date=None, reason=None):
        """Closing takes three months' notice, unless the customer moves abroad."""
        refusal = super()._get_close_refusal(when, date, reason)
        if refusal or not when or reason.name == "Moves abroad":
            return refusal
        earliest = self.company_id._get_subscription_today() + relativedelta(months=3)
        if self._get_close_date(when, date) < earliest:
            return self.env._("%(order)s can only be closed with three months' notice.", order=self.display_name)
        return False
