from odoo import api, models
from odoo.exceptions import AccessError, UserError

from ...tools.guard import Guard, as_method

# Fields that determine the customer and the prices of a subscription: only Sales can change them while it is running.
# The addon's own fields of this kind are declared with ``sales_only=True``.
AGREED_FIELDS = frozenset(("company_id", "currency_id", "partner_id", "pricelist_id"))
# Keys of the caller's context that are kept when a method goes beyond the caller's rights.
CALLERS_KEYS = ("allowed_company_ids", "lang", "tz")
# Context keys with which a caller can keep changes out of the chatter.
UNTRACKED_KEYS = ("tracking_disable", "mail_notrack")
# Granted to methods whose changes to many subscriptions do not belong in the chatter.
_UNTRACKED = Guard("subscription_untracked")
# Granted to Odoo's own cancelling after checking that the subscription can be cancelled.
CANCELLING = Guard("subscription_cancelling")


class SaleOrder(models.Model):
    """Access rights to subscriptions, and the changes that the chatter always shows."""

    _name = "sale.order"
    _inherit = ["sale.order", "sale.subscription.guard.mixin"]

    def write(self, vals):
        orders = self._with_tracking(vals)
        if self._is_method():
            return super(SaleOrder, orders).write(vals)
        self._check_state_by_hand(vals)
        if not vals.keys() & (self._get_sales_only_fields() | AGREED_FIELDS):
            return super(SaleOrder, orders).write(vals)
        self._check_sales_fields(vals)
        return orders._write_by_hand(vals)

    def _write_by_hand(self, vals):
        """Write fields that determine what a subscription bills, when no method of the addon writes them.

        Each room extends this to check new values, and to do what follows from them. Access rights have been checked.

        :param dict vals: as for :meth:`write`, with a ``sales_only=True`` field or one of `AGREED_FIELDS` among them
        :return: True
        """
        # Only write() calls this, in place of its own super().
        return super().write(vals)  # pylint: disable=super-method-mismatch

    def _write_subscription(self, values):
        """Write fields that only methods can write.

        :param dict values: as for :meth:`write`
        """
        return as_method(self).write(values)

    def _check_sales_fields(self, vals):
        """Check that the user has the rights in Sales that the written fields require.

        :param dict vals: as for :meth:`write`
        :raises AccessError: if not
        """
        if self._get_sales_only_fields() & vals.keys():
            self._check_sales_user()
        if AGREED_FIELDS & vals.keys():
            self._check_sales_user_if_running()

    def _check_state_by_hand(self, vals):
        """Check that only methods change the state of the order of a confirmed subscription.

        Otherwise, billing would continue on a cancelled order, or on a quotation without the checks of a confirmed order.

        :param dict vals: as for :meth:`write`
        :raises UserError: if the state of one of the orders would change
        """
        if "state" not in vals or CANCELLING.get(self.env.context):
            return
        for order in self:
            if (order._is_running() or order._has_ended()) and order.state != vals["state"]:
                raise UserError(order._get_by_hand_message("state"))

    def _without_tracking(self):
        """Return the same records for a method whose changes the chatter does not show."""
        return _UNTRACKED.grant(self.with_context(tracking_disable=True))

    def _with_tracking(self, vals):
        """Return the same records with a context in which the chatter shows the change, whatever the caller's context.

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
        """Return the names of the fields whose changes the chatter shows, whatever the caller's context.

        :rtype: set
        """
        return {name for name in self._track_get_fields() if "subscription_close_renew" in self._fields[name]._modules}

    def _on_behalf(self):
        """Return the same orders in sudo mode, for a public method that goes beyond the rights of its caller.

        Other keys of the caller's context are dropped, because some of Odoo's keys skip taxes or checks.
        """
        context = {key: self.env.context[key] for key in CALLERS_KEYS if key in self.env.context}
        return self.with_env(self.env(context=context, su=True))

    def _check_subscription_access(self):
        """Check that the user has rights in Sales and write access to each of these subscriptions.

        Write access alone is not enough: accountants and warehouse staff have it as well.

        :raises AccessError: if the user has no rights in Sales, or cannot write one of the orders
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
        """Check that the user has rights in Sales if one of these orders is a running subscription.

        :raises AccessError: if not
        """
        # Read the orders only if the user has no rights in Sales.
        if not self._is_sales_user() and any(order._is_running() for order in self):
            self._check_sales_user()

    @api.model
    def _is_sales_user(self):
        return self.env.su or self.env.user.has_group("sales_team.group_sale_salesman")
