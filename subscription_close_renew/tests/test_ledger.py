import doctest

from odoo.tests import BaseCase, tagged

from ..tools import ledger


@tagged("post_install", "-at_install")
class TestLedgerArithmetic(BaseCase):
    def test_examples_in_the_documentation_hold(self):
        failed, attempted = doctest.testmod(ledger)
        self.assertTrue(attempted)
        self.assertFalse(failed)
