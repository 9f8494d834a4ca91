from urllib.parse import urlsplit

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import is_html_empty

# Reasons that the addon itself gives; code finds them by these names.
SYSTEM_REASONS = {
    "end_of_term": "subscription_close_renew.close_reason_end_of_term",
    "public_page": "subscription_close_renew.close_reason_public_page",
    "unpaid": "subscription_close_renew.close_reason_unpaid",
}


class SaleOrderCloseReason(models.Model):
    _name = "sale.order.close.reason"
    _description = "Subscription Close Reason"
    _order = "sequence, id"

    name = fields.Char(string="Reason", required=True, translate=True)
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True)
    visible_in_portal = fields.Boolean(
        default=True,
        help="Customers who close their subscription in the portal may choose this reason.",
    )
    retention_message = fields.Html(
        translate=True,
        help="Shown to a customer who chooses this reason, beside the button that closes, never instead of it.",
    )
    retention_button_text = fields.Char(string="Button Text", translate=True)
    retention_button_link = fields.Char(
        string="Button Link",
        help="Where the button leads: a web address (https://…) or a page of this site (/contactus).",
    )

    @api.constrains("retention_button_text", "retention_button_link")
    def _check_retention_button(self):
        for reason in self:
            if bool(reason.retention_button_text) != bool(reason.retention_button_link):
                raise ValidationError(
                    self.env._(
                        "The retention button of the close reason %(reason)s needs both a text and a link.",
                        reason=reason.name,
                    )
                )
            if reason.retention_button_link and not self._is_safe_link(reason.retention_button_link):
                raise ValidationError(
                    self.env._(
                        "%(link)s is not a link that the button of the close reason %(reason)s can open. Enter a web "
                        "address that begins with https://, or a page of this site that begins with /.",
                        link=reason.retention_button_link,
                        reason=reason.name,
                    )
                )

    def write(self, vals):
        if vals.keys() - {"sequence"}:
            self.env["sale.order"]._check_used_by_own_companies("close_reason_id", self)
        return super().write(vals)

    @api.ondelete(at_uninstall=False)
    def _unlink_except_used(self):
        system = self & self._get_system_reasons()
        if system:
            raise UserError(
                self.env._(
                    "Subscriptions that end by themselves need the close reason %(reason)s, so it cannot be deleted.",
                    reason=system[0].name,
                )
            )
        # Every order counts, also those that the user may not see; and what was closed once, and reopened since.
        domain = [("close_reason_id", "in", self.ids)]
        used = self.env["sale.order"].sudo()._read_group(domain, ["close_reason_id"], ["__count"]) or self.env[
            "sale.subscription.movement"
        ].sudo()._read_group(domain, ["close_reason_id"], ["order_id:count_distinct"])
        for reason, count in used:
            raise UserError(
                self.env._(
                    "The close reason %(reason)s is in use (subscriptions: %(count)s) and cannot be deleted. Archive it "
                    "instead: they keep it, and nobody can choose it any more.",
                    reason=reason.name,
                    count=count,
                )
            )

    @api.model
    def _get_portal_fields(self):
        """Return the names of the fields that the portal shows.

        :rtype: list
        """
        return ["name", "retention_message", "retention_button_text", "retention_button_link"]

    def _has_retention(self):
        """Tell whether there is something to show to a customer who chooses this reason.

        :rtype: bool
        """
        self.ensure_one()
        return bool(self.retention_button_link) or not is_html_empty(self.retention_message)

    @api.model
    def _get_system_reason(self, name):
        """Return a reason that the addon itself gives.

        :param str name: a key of :data:`SYSTEM_REASONS`
        :rtype: sale.order.close.reason
        """
        return self.env.ref(SYSTEM_REASONS[name])

    @api.model
    def _get_system_reasons(self):
        reasons = self.browse()
        for name in SYSTEM_REASONS:
            reasons |= self._get_system_reason(name)
        return reasons

    @api.model
    def _is_safe_link(self, link):
        """Tell whether a link may stand in the portal: no script, no other site by way of ``//``."""
        # Browsers drop some of these before they read a link: "/\t/example.com" is another site.
        if any(character.isspace() or not character.isprintable() for character in link):
            return False
        try:
            parts = urlsplit(link)
        except ValueError:
            return False
        if parts.scheme:
            return parts.scheme in ("http", "https") and bool(parts.netloc)
        return link.startswith("/") and not link.startswith("//") and "\\" not in link
