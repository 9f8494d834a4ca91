import doctest

from odoo.tests import BaseCase, tagged

from ..tools import guard
from ..tools.guard import Guard


@tagged("post_install", "-at_install")
class TestGuard(BaseCase):
    def test_examples_in_the_documentation_hold(self):
        failed, attempted = doctest.testmod(guard)
        self.assertTrue(attempted)
        self.assertFalse(failed)

    def test_one_guard_does_not_vouch_for_another_of_the_same_key(self):
        ours, theirs = Guard("key"), Guard("key")
        self.assertIsNone(ours.get({"key": theirs.seal()}))

    def test_false_value_is_distinguished_from_none(self):
        ours = Guard("key")
        self.assertIs(ours.get({"key": ours.seal(False)}, default=True), False)
