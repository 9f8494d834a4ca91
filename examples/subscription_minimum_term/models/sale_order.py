from odoo import models


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def _get_close_refusal(self, when=None, date=None, reason=None):
        return super()._get_close_refusal(when, date, reason) or self._get_minimum_term_refusal()

    def _get_minimum_term_refusal(self):
        """Return the reason why the minimum term prevents a close, or False.

        :rtype: str | bool
        """
        # The portal runs in sudo mode, on behalf of the customer.
        if self.env.user.has_group("sales_team.group_sale_manager") and not self.env.su:
            return False
        minimum, billed = self.plan_id.minimum_periods, len(self._get_billed_periods())
        if billed >= minimum:
            return False
        return self.env._(
            "%(order)s is in its minimum term (billing periods: %(minimum)s, invoiced so far: %(billed)s). It can be "
            "closed once all of them are invoiced. Until then, only an administrator of Sales can close it.",
            order=self.display_name,
            minimum=minimum,
            billed=billed,
        )
