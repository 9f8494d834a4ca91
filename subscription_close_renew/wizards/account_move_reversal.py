from odoo import models

from ..tools.guard import as_method


class AccountMoveReversal(models.TransientModel):
    _inherit = "account.move.reversal"

    def reverse_moves(self, is_modify=False):
        # The replacement invoice bills the same periods as the reversed one.
        wizard = as_method(self) if is_modify else self
        return super(AccountMoveReversal, wizard).reverse_moves(is_modify)
