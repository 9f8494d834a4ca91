"""Helpers for tests about the portal: open pages as users and read their contents::

page = self.open(self.page_of(order), self.portal_user)
self.assertEqual(self.text(page, "subscription_status"), "In Progress")
self.post(self.page_of(order, "/close"), self.portal_user, reason_id=self.reason.id)
"""

from unittest.mock import patch

from lxml import html

from odoo.http import Request
from odoo.tests import HttpCase, freeze_time, tagged

from odoo.addons.base.models.ir_model import IrModelFields

from .payment_common import SubscriptionPaymentCommon


@tagged("post_install", "-at_install")
@freeze_time("2027-01-31 12:00:00")
class PortalCase(SubscriptionPaymentCommon, HttpCase):
    """A customer, a colleague at the same firm, and a stranger: ``portal_user``, ``colleague``, ``stranger``."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls._let_pages_name_the_provider()
        firm = cls.env["res.partner"].create({"name": "Firm", "is_company": True})
        cls.customer.parent_id = firm
        cls.colleague, cls.stranger = cls.make_users(
            {"colleague": "base.group_portal", "stranger": "base.group_portal"}
        )
        cls.colleague.partner_id.parent_id = firm
        cls.salesperson.partner_id.lang = "en_US"

    @classmethod
    def _let_pages_name_the_provider(cls):
        """Give the test provider a name in Odoo's payment form, which knows only the codes in the database."""
        code, named = cls.env["payment.provider"]._fields["code"], IrModelFields.get_field_selection

        def get_field_selection(fields, model_name, field_name):
            if (model_name, field_name) == (code.model_name, code.name):
                return code.selection
            return named(fields, model_name, field_name)

        cls.startClassPatcher(patch.object(IrModelFields, "get_field_selection", get_field_selection))

    # Actions of users

    def log_in(self, user):
        self.authenticate(user and user.login, user and user.login)

    def open(self, url, user=None, **kwargs):
        """Open a page, logged in as a user (by default, not logged in).

        :return: the response after redirections, unless ``allow_redirects`` is False
        """
        self.log_in(user)
        self.flush_chatter()
        response = self.url_open(url, **kwargs)
        self.env.invalidate_all()
        return response

    def post(self, url, user=None, csrf=True, follow=True, **data):
        """Submit a form, logged in as a user (by default, not logged in).

        :param bool csrf: whether the form includes the CSRF token
        :param bool follow: whether to follow the final redirection
        :param data: the other fields of the form
        """
        self.log_in(user)
        if csrf:
            data["csrf_token"] = Request.csrf_token(self)
        self.flush_chatter()
        response = self.url_open(url, data=data or {"nothing": ""}, allow_redirects=follow)
        self.env.invalidate_all()
        return response

    def page_of(self, order, path="", link=False):
        """Return the portal URL of a subscription, or of a path below it.

        :param bool link: whether the URL includes the access token of the order
        """
        url = f"/my/subscriptions/{order.id}{path}"
        return f"{url}?access_token={order.sudo()._portal_ensure_token()}" if link else url

    # Page contents

    def text(self, response, name=""):
        """Return the text of a page, or of its elements with a name, one per line."""
        tree = html.fromstring(response.text)
        found = tree.xpath(f"//*[@name='{name}']") if name else [tree]
        return "\n".join(" ".join(element.text_content().split()) for element in found)

    def found(self, response, name):
        """Return the elements of a page with a given name."""
        return html.fromstring(response.text).xpath(f"//*[@name='{name}']")
