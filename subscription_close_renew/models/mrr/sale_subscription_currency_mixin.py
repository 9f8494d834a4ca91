from odoo import api, models
from odoo.tools import SQL


class SaleSubscriptionCurrencyMixin(models.AbstractModel):
    """Reports whose amounts are all in one currency, as long as their companies share one.

    For each amount, Odoo's graphs and pivots also ask in which currencies it is, and for its value in the user's currency.
    For many movements, that takes longer than the sums themselves.
    """

    _name = "sale.subscription.currency.mixin"
    _description = "Amounts in One Currency"

    # Name of the field with the currency of the amounts.
    _report_currency_field = None

    def _read_group_select(self, aggregate_spec, query):
        """Return the SQL of an aggregate, without what is not needed for amounts in a single currency."""
        currency = self._get_report_currency()
        if currency:
            name, _separator, function = aggregate_spec.partition(":")
            if function == "array_agg_distinct" and name == self._report_currency_field:
                return SQL("ARRAY[%s]", currency.id)
            if function == "sum_currency" and self._has_report_currency(name):
                aggregate_spec = f"{name}:sum"
        return super()._read_group_select(aggregate_spec, query)

    @api.model
    def _has_report_currency(self, name):
        field = self._fields.get(name)
        return field and field.type == "monetary" and field.get_currency_field(self) == self._report_currency_field

    @api.model
    def _get_report_currency(self):
        """Return the currency of all amounts that the user sees, or an empty recordset if there may be several.

        :rtype: res.currency
        """
        # Only the record rule that hides other companies guarantees it.
        currency = self.env.companies.currency_id
        return currency if len(currency) == 1 and not self.env.su else currency.browse()
