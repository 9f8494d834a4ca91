from odoo import api, models
from odoo.exceptions import UserError


class SaleSubscriptionSharedMixin(models.AbstractModel):
    """Records that subscriptions of several companies can share: plans and close reasons."""

    _name = "sale.subscription.shared.mixin"
    _description = "Shared Between Subscriptions"

    # Name of the field on orders and MRR movements that refers to the record.
    _subscription_field = None
    # Fields that any company may change.
    _harmless_fields = frozenset()

    def write(self, vals):
        self._check_change(vals)
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_used(self):
        # Count every order, including those hidden from the user, and earlier values in the MRR ledger.
        domain = [(self._subscription_field, "in", self.ids)]
        used = self._read_use("sale.order", domain, "__count")
        used = used or self._read_use("sale.subscription.movement", domain, "order_id:count_distinct")
        for record, count in used:
            raise UserError(record._get_used_message(count))

    def _check_change(self, vals):
        """Check that a change does not affect subscriptions that use these records.

        :param dict vals: as for :meth:`write`
        :raises UserError: for the first record that cannot be changed
        """
        if vals.keys() - self._harmless_fields:
            self._check_used_by_own_companies()

    @api.model
    def _read_use(self, model_name, domain, aggregate):
        """Return how often each record is used.

        :param str model_name: model of the records that refer to it
        :param list domain: which of these count
        :param str aggregate: what to count
        :return: pairs of a record and a number
        :rtype: list
        """
        # sudo: only a count is returned, and shown only after Odoo has checked the right to delete these records.
        return self.env[model_name].sudo()._read_group(domain, [self._subscription_field], [aggregate])

    def _get_used_message(self, count):
        """Return the reason why a record cannot be deleted, and what to do instead.

        :param int count: number of subscriptions that use the record
        :rtype: str
        """
        raise NotImplementedError

    def _check_used_by_own_companies(self):
        """Check that no subscription of a company hidden from the user uses these records.

        :raises UserError: for the first record used by such a subscription
        """
        if self.env.su or not self.ids:
            return
        others = [
            (self._subscription_field, "in", self.ids),
            ("state", "=", "sale"),
            ("company_id", "not in", self.env.user.company_ids.ids),
        ]
        for record, _count in self._read_use("sale.order", others, "__count"):
            raise UserError(
                self.env._(
                    "%(record)s is used by subscriptions of companies that you cannot access, so you cannot change it. "
                    "Create your own instead.",
                    record=record.display_name,
                )
            )
