from urllib.parse import urlsplit

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import is_html_empty


class SaleOrderCloseReason(models.Model):
    _name = "sale.order.close.reason"
    _inherit = ["sale.subscription.shared.mixin"]
    _description = "Subscription Close Reason"
    _order = "sequence, id"
    _subscription_field = "close_reason_id"
    _harmless_fields = frozenset(("sequence",))

    name = fields.Char(string="Reason", required=True, translate=True)
    sequence = fields.Integer(default=10)
    active = fields.Boolean(default=True)
    visible_in_portal = fields.Boolean(
        default=True,
        help="Customers can choose this reason when they close their subscription in the portal.",
    )
    retention_message = fields.Html(
        translate=True,
        help="Shown to customers who choose this reason, next to the button that closes the subscription. It never "
        "replaces that button.",
    )
    retention_button_text = fields.Char(string="Button Text", translate=True)
    retention_button_link = fields.Char(
        string="Button Link",
        help="The page that the button opens: a web address (https://…) or a page of this website (/contactus).",
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
                        "The button of the close reason %(reason)s cannot open %(link)s. Enter a web address that "
                        "starts with https:// or a page of this website that starts with /.",
                        link=reason.retention_button_link,
                        reason=reason.name,
                    )
                )

    @api.ondelete(at_uninstall=False)
    def _unlink_except_system(self):
        system = self & self._get_system_reasons()
        if system:
            raise UserError(
                self.env._(
                    "The close reason %(reason)s is used to close subscriptions automatically, so it cannot be deleted.",
                    reason=system[0].name,
                )
            )

    def _get_used_message(self, count):
        return self.env._(
            "The close reason %(reason)s is in use (subscriptions: %(count)s) and cannot be deleted. Archive it "
            "instead: these subscriptions keep it, and it can no longer be chosen.",
            reason=self.name,
            count=count,
        )

    def _has_retention(self):
        """Return whether there is something to show to customers who choose this reason.

        :rtype: bool
        """
        self.ensure_one()
        return bool(self.retention_button_link) or not is_html_empty(self.retention_message)

    @api.model
    def _get_system_reason_xml_ids(self):
        """Return the close reasons that code uses.

        :return: external ids by the names used in code
        :rtype: dict
        """
        return {"end_of_term": "subscription_close_renew.close_reason_end_of_term"}

    @api.model
    def _get_system_reason(self, name):
        """Return a close reason that code uses.

        :param str name: a key of :meth:`_get_system_reason_xml_ids`
        :rtype: sale.order.close.reason
        """
        return self.env.ref(self._get_system_reason_xml_ids()[name])

    @api.model
    def _get_system_reasons(self):
        """Return all close reasons that code uses.

        :rtype: sale.order.close.reason
        """
        return self.browse().union(*map(self._get_system_reason, self._get_system_reason_xml_ids()))

    @api.model
    def _is_safe_link(self, link):
        """Return whether a link is safe in the portal: no script, and no other site through ``//``."""
        # Browsers ignore some of these characters: "/\t/example.com" leads to another site.
        if any(character.isspace() or not character.isprintable() for character in link):
            return False
        try:
            parts = urlsplit(link)
        except ValueError:
            return False
        if parts.scheme:
            return parts.scheme in ("http", "https") and bool(parts.netloc)
        return link.startswith("/") and not link.startswith("//") and "\\" not in link
