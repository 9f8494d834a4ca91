from odoo.exceptions import UserError
from odoo.tests import TransactionCase, tagged

from ..hooks import pre_init_hook
from ..models.subscription.ir_module_module import INCOMPATIBLE_ADDON


@tagged("post_install", "-at_install")
class TestIncompatibility(TransactionCase):
    """The addon and Odoo's proprietary Subscriptions app exclude each other, as both extend the same orders."""

    def other_app(self, state):
        # Odoo lists its proprietary apps by name to advertise them.
        app = self.env["ir.module.module"].search([("name", "=", INCOMPATIBLE_ADDON)])
        app.state = state
        return app

    def test_other_app_cannot_be_installed_beside_this_one(self):
        app = self.other_app("uninstalled")
        with self.assertRaisesRegex(UserError, "only one of them"):
            app.button_install()

    def test_this_app_cannot_be_installed_beside_the_other_one(self):
        self.other_app("installed")
        with self.assertRaisesRegex(UserError, "only one of them"):
            pre_init_hook(self.env)
