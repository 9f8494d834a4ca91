from odoo import api, models
from odoo.exceptions import UserError


class SaleSubscriptionSharedMixin(models.AbstractModel):
    """Records that the subscriptions of several companies may have in common: plans and close reasons."""

    _name = "sale.subscription.shared.mixin"
    _description = "Shared Between Subscriptions"

    # Name of the field that refers to the record, of orders and of MRR movements alike.
    _subscription_field = None
    # Fields that every company may change for itself.
    _harmless_fields = frozenset()

    def write(self, vals):
        self._check_change(vals)
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_used(self):
        # Every order counts, also those that the user may not see; and what an order had before.
        domain = [(self._subscription_field, "in", self.ids)]
        used = self._read_use("sale.order", domain, "__count")
        used = used or self._read_use("sale.subscription.movement", domain, "order_id:count_distinct")
        for record, count in used:
            raise UserError(record._get_used_message(count))

    def _check_change(self, vals):
        """Refuse to change what is in use, if that would change subscriptions.

        :param dict vals: as for :meth:`write`
        :raises UserError: naming the first record that cannot change
        """
        if vals.keys() - self._harmless_fields:
            self._check_used_by_own_companies()

    @api.model
    def _read_use(self, model_name, domain, aggregate):
        """Return which records are used how often.

        :param str model_name: of the records that refer to them
        :param list domain: which of these count
        :param str aggregate: what is counted
        :return: pairs of a record and a number
        :rtype: list
        """
        # sudo: only the number is given away, to users who may delete these records.
        return self.env[model_name].sudo()._read_group(domain, [self._subscription_field], [aggregate])

    def _get_used_message(self, count):
        """Return why a record cannot be deleted, and what to do instead.

        :param int count: number of subscriptions that use it
        :rtype: str
        """
        raise NotImplementedError

    def _check_used_by_own_companies(self):
        """Refuse to change what subscriptions of companies use that the user cannot access.

        :raises UserError: naming the first such record
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
