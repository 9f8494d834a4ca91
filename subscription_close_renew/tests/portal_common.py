"""A vocabulary for tests about the portal: who opens which page, and what stands there::

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
        """Core's payment form names providers as the database knows them; that of the tests is none of these."""
        code, named = cls.env["payment.provider"]._fields["code"], IrModelFields.get_field_selection

        def get_field_selection(fields, model_name, field_name):
            if (model_name, field_name) == (code.model_name, code.name):
                return code.selection
            return named(fields, model_name, field_name)

        cls.startClassPatcher(patch.object(IrModelFields, "get_field_selection", get_field_selection))

    # What people do

    def log_in(self, user):
        self.authenticate(user and user.login, user and user.login)

    def open(self, url, user=None, **kwargs):
        """Open a page, logged in as a user (as nobody, if not given).

        :return: what came back, after redirections, unless ``allow_redirects`` is False
        """
        self.log_in(user)
        self.flush_chatter()
        response = self.url_open(url, **kwargs)
        self.env.invalidate_all()
        return response

    def post(self, url, user=None, csrf=True, follow=True, **data):
        """Send a form, logged in as a user (as nobody, if not given).

        :param bool csrf: whether the form has its token
        :param bool follow: whether to follow the redirection that ends it
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
        """Return the address of a subscription in the portal, or of something below it.

        :param bool link: whether the access token of the order is part of it
        """
        url = f"/my/subscriptions/{order.id}{path}"
        return f"{url}?access_token={order.sudo()._portal_ensure_token()}" if link else url

    # What they see

    def text(self, response, name=""):
        """Return the text of a page, or of the elements that have a name, a line each."""
        tree = html.fromstring(response.text)
        found = tree.xpath(f"//*[@name='{name}']") if name else [tree]
        return "\n".join(" ".join(element.text_content().split()) for element in found)

    def found(self, response, name):
        """Return the elements of a page that have a name."""
        return html.fromstring(response.text).xpath(f"//*[@name='{name}']")
