from odoo import api, models, tools
from odoo.exceptions import UserError
from odoo.fields import NO_ACCESS
from odoo.tools.misc import clean_context

from ...tools.guard import Guard

# Granted to the methods that may write guarded fields.
_METHODS = Guard("subscription_methods")


def as_method(records):
    """Return the same records for a method that writes guarded fields, and has checked who may call it.

    Default values that the caller has put into the context stay behind.

    :param records: of any model: lines that are made along with them count, too
    """
    return _METHODS.grant(records.with_env(records.env(context=clean_context(records.env.context))))


class SaleSubscriptionGuardMixin(models.AbstractModel):
    """Fields that not everybody with access to the record may write, whatever the context.

    * ``guarded=True``: only methods write the field. A wrong value would bill a period twice or not at all, or end
      somebody else's subscription.
    * ``sales_only=True``: methods write it, and users with rights in Sales. It decides when, for how long and with which
      payment method a subscription is billed; rights to invoice or deliver an order are not enough. The model checks it.
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
        """Return the names of the fields that only methods write.

        :rtype: frozenset
        """
        return frozenset(name for name, field in self._fields.items() if getattr(field, "guarded", False))

    @api.model
    @tools.ormcache()
    def _get_sales_only_fields(self):
        """Return the names of the fields that methods write, and users with rights in Sales.

        :rtype: frozenset
        """
        return frozenset(name for name, field in self._fields.items() if getattr(field, "sales_only", False))

    @api.model
    def _is_method(self):
        """Return whether a method writes, rather than somebody by hand."""
        return bool(_METHODS.get(self.env.context))

    @api.model
    @tools.ormcache()
    def _get_fields_without_default(self):
        """Return the names of the fields for which a default in a context or in the database does not count.

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
        """Refuse to write by hand what only methods write.

        :param dict vals: as for :meth:`write`
        :raises UserError: naming the first such field
        """
        names = self._get_guarded_fields() & vals.keys()
        if names and not self._is_method():
            raise UserError(self._get_by_hand_message(min(names)))

    @api.model
    def _get_by_hand_message(self, name):
        """Return why a field is not written by hand, as a sentence.

        :param str name: of the field
        :rtype: str
        """
        return self.env._(
            "%(field)s is not set by hand. Use the buttons (Confirm, Close, Pause…), or the methods behind them.",
            field=self._fields[name]._description_string(self.env),
        )
