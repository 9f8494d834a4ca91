from odoo import api, models
from odoo.exceptions import AccessError

from ...tools.guard import Guard

# What decides whose a subscription is and what prices it has: while it runs, only Sales may change it. Our own fields of
# that kind are declared with ``sales_only=True``.
AGREED_FIELDS = frozenset(("company_id", "currency_id", "partner_id", "pricelist_id"))
# The part of a caller's context that counts where a method does what the caller may not do alone.
CALLERS_KEYS = ("allowed_company_ids", "lang", "tz")
# A caller may put these into the context to keep changes out of the chatter.
UNTRACKED_KEYS = ("tracking_disable", "mail_notrack")
# Granted to methods that change many subscriptions in ways the chatter does not mention.
_UNTRACKED = Guard("subscription_untracked")


class SaleOrder(models.Model):
    """Who may change a subscription, and which changes the chatter always shows."""

    _name = "sale.order"
    _inherit = ["sale.order", "sale.subscription.guard.mixin"]

    def write(self, vals):
        if not self._is_method():
            if self._get_sales_only_fields() & vals.keys():
                self._check_sales_user()
            if AGREED_FIELDS & vals.keys():
                self._check_sales_user_if_running()
        return super(SaleOrder, self._with_tracking(vals)).write(vals)

    def _without_tracking(self):
        """Return the same records for a method of whose changes the chatter is not to speak."""
        return _UNTRACKED.grant(self.with_context(tracking_disable=True))

    def _with_tracking(self, vals):
        """Return the same records with a context that lets the chatter speak of a change, whatever the caller says.

        :param dict vals: as for :meth:`write`
        """
        context = self.env.context
        if not any(context.get(key) for key in UNTRACKED_KEYS) or _UNTRACKED.get(context):
            return self
        if not vals.keys() & self._get_always_tracked_fields():
            return self
        return self.with_context(**dict.fromkeys(UNTRACKED_KEYS, False))

    @api.model
    def _get_always_tracked_fields(self):
        """Return the names of the fields whose changes the chatter shows, whatever the context of the caller says.

        :rtype: set
        """
        return {name for name in self._track_get_fields() if "subscription_close_renew" in self._fields[name]._modules}

    def _on_behalf(self):
        """Return the same orders in sudo mode, for what a public method does beyond the rights of its caller.

        What else the caller has put into the context stays behind: Odoo's own keys would leave out taxes or checks.
        """
        context = {key: self.env.context[key] for key in CALLERS_KEYS if key in self.env.context}
        return self.with_env(self.env(context=context, su=True))

    def _check_subscription_access(self):
        """Check that the user may act on these subscriptions: with rights of Sales, and on each of them.

        Who invoices or delivers may write orders, too, and has nothing to decide here.

        :raises AccessError: if the user has no rights in Sales, or may not change one of the orders
        """
        self._check_sales_user()
        self.check_access("write")

    def _check_sales_user(self):
        """Check that the user has rights in Sales.

        :raises AccessError: if not
        """
        if not self._is_sales_user():
            raise AccessError(self.env._("Only users with rights in Sales can change subscriptions."))

    def _check_sales_user_if_running(self):
        """Check that the user has rights in Sales, if one of these orders is a subscription that runs.

        :raises AccessError: if not
        """
        # The orders are read only for who has none.
        if not self._is_sales_user() and any(order._is_running() for order in self):
            self._check_sales_user()

    @api.model
    def _is_sales_user(self):
        return self.env.su or self.env.user.has_group("sales_team.group_sale_salesman")
