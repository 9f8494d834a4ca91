from odoo import models
from odoo.exceptions import UserError

INCOMPATIBLE_ADDON = "sale_subscription"


def refuse_incompatible_addon(env):
    """Check that Odoo's proprietary Subscriptions app is not installed.

    The manifest key `excludes` would do the same, but Odoo's own check of manifests rejects it.

    :param env: an environment
    :raises UserError: if that app is installed, or about to be
    """
    if env["ir.module.module"].search_count(
        [("name", "=", INCOMPATIBLE_ADDON), ("state", "in", ("installed", "to install", "to upgrade"))]
    ):
        raise UserError(
            env._(
                "Subscriptions: Close and Renew and Odoo's own Subscriptions app (%(addon)s) extend the same sales orders, "
                "so a database can have only one of them. To switch, uninstall the installed one first.",
                addon=INCOMPATIBLE_ADDON,
            )
        )


class IrModuleModule(models.Model):
    _inherit = "ir.module.module"

    def button_install(self):
        action = super().button_install()
        refuse_incompatible_addon(self.env)
        return action
