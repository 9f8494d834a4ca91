from odoo import models
from odoo.exceptions import UserError

INCOMPATIBLE_ADDON = "sale_subscription"


def refuse_incompatible_addon(env):
    """Refuse to be installed beside Odoo's proprietary Subscriptions app.

    A manifest could say so by `excludes`, a key that Odoo reads and its own check of manifests does not allow.

    :param env: an environment
    :raises UserError: if that app is there, or about to be installed
    """
    if env["ir.module.module"].search_count(
        [("name", "=", INCOMPATIBLE_ADDON), ("state", "in", ("installed", "to install", "to upgrade"))]
    ):
        raise UserError(
            env._(
                "Subscriptions: Close and Renew and Odoo's own Subscriptions app (%(addon)s) extend the same sales orders, "
                "so that a database can have one of them only. Uninstall the one that is there, if you wish to change.",
                addon=INCOMPATIBLE_ADDON,
            )
        )


class IrModuleModule(models.Model):
    _inherit = "ir.module.module"

    def button_install(self):
        action = super().button_install()
        refuse_incompatible_addon(self.env)
        return action
