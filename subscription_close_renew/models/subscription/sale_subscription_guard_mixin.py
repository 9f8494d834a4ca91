from odoo import api, models, tools
from odoo.exceptions import UserError
from odoo.fields import NO_ACCESS

from ...tools.guard import METHODS


class SaleSubscriptionGuardMixin(models.AbstractModel):
    """Fields that write access to the record alone does not allow to write, whatever the context.

    * ``guarded=True``: only methods can write the field. A wrong value would bill a period twice or not at all, or end
      somebody else's subscription.
    * ``sales_only=True``: only methods and users with rights in Sales can write the field. It determines when, for how
      long and with which payment method a subscription is billed, so the right to invoice or deliver an order is not
      enough. The model that inherits the mixin checks this.
    """

    _name = "sale.subscription.guard.mixin"
    _description = "Fields That Only Methods Write"

    @api.model_create_multi
    def create(self, vals_list):
        for vals in vals_list:
            self._check_guarded(vals)
        return super().create(vals_list)

    def write(self, vals):
        self._check_guarded(vals)
        return super().write(vals)

    @api.model
    def default_get(self, fields):
        without = self._get_fields_without_default()
        return super().default_get([name for name in fields if name not in without])

    @api.model
    def _valid_field_parameter(self, field, name):
        return name in ("guarded", "sales_only") or super()._valid_field_parameter(field, name)

    @api.model
    @tools.ormcache()
    def _get_guarded_fields(self):
        """Return the names of the fields that only methods can write.

        :rtype: frozenset
        """
        return frozenset(name for name, field in self._fields.items() if getattr(field, "guarded", False))

    @api.model
    @tools.ormcache()
    def _get_sales_only_fields(self):
        """Return the names of the fields that only methods and users with rights in Sales can write.

        :rtype: frozenset
        """
        return frozenset(name for name, field in self._fields.items() if getattr(field, "sales_only", False))

    @api.model
    def _is_method(self):
        """Return whether a method writes, rather than a user or an integration."""
        return bool(METHODS.get(self.env.context))

    @api.model
    @tools.ormcache()
    def _get_fields_without_default(self):
        """Return the names of the fields that ignore default values in the context or the database.

        :rtype: frozenset
        """
        closed = {
            name
            for name, field in self._fields.items()
            if field.groups == NO_ACCESS and "subscription_close_renew" in field._modules
        }
        return self._get_guarded_fields() | closed

    @api.model
    def _check_guarded(self, vals):
        """Check that values contain guarded fields only if a method writes them.

        :param dict vals: as for :meth:`write`
        :raises UserError: for the first guarded field
        """
        names = self._get_guarded_fields() & vals.keys()
        if names and not self._is_method():
            raise UserError(self._get_by_hand_message(min(names)))

    @api.model
    def _get_by_hand_message(self, name):
        """Return the message for a field that cannot be set manually.

        :param str name: name of the field
        :rtype: str
        """
        return self.env._(
            "%(field)s cannot be set manually. Use the buttons (Confirm, Close, Pause…) or the methods behind them.",
            field=self._fields[name]._description_string(self.env),
        )
