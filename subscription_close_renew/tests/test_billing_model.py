"""The addon's promises about money hold after each step, whatever happens to a subscription in whatever order."""

import logging
import os
import unittest
import unittest.mock
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise

import requests

from odoo.exceptions import UserError
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..models.subscription.sale_order_scheduled import SaleOrder as ScheduledSaleOrder
from .payment_common import SubscriptionPaymentCommon

try:
    from hypothesis import HealthCheck, Phase, settings
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
except ImportError:
    st = None

POST_PROCESSING = "odoo.addons.payment.models.payment_transaction"
LOUD = (
    "odoo.addons.subscription_close_renew.models.payment.payment_transaction",
    "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled",
    POST_PROCESSING,
)
LONG = "SUBSCRIPTION_MODEL_EXAMPLES"
"""The environment variable that says how many stories to make up; without it, a few that are always the same."""


class _Errors(logging.Handler):
    """Collects the errors that Odoo swallows when it post-processes a payment."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        self.found.append(record.getMessage())


@tagged("post_install", "-at_install")
@unittest.skipUnless(st, "hypothesis is not installed")
class TestBillingModel(SubscriptionPaymentCommon):
    """P1–P5, P7: generated stories of a subscription charged to a card."""

    @mute_logger(*LOUD)
    def test_promises_hold_in_any_order_of_events(self):
        errors = _Errors()
        logging.getLogger(POST_PROCESSING).addHandler(errors)
        self.addCleanup(logging.getLogger(POST_PROCESSING).removeHandler, errors)
        examples = os.environ.get(LONG)
        run_state_machine_as_test(
            lambda: Story(self, errors.found),
            settings=settings(
                max_examples=int(examples or 12),
                stateful_step_count=25,
                deadline=None,
                database=None,
                derandomize=not examples,
                # Shrinking a story takes many times as long as finding it, and does not end while time is frozen.
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )


if st:
    answers = st.sampled_from(["done", "done", "declined", "pending", "mismatch", "timeout", "unreadable"])
    told = st.sampled_from(["done", "declined", "pending"])

    class Story(RuleBasedStateMachine):
        """One subscription, its card, and all possible events; each story is rolled back at its end."""

        def __init__(self, test, errors):
            super().__init__()
            self.test = test
            self.errors = errors
            self.errors.clear()
            self.savepoint = test.env.cr.savepoint()
            self.day = date(2027, 1, 31)
            self.answer = "done"
            self.wrong = []
            self.interrupted = False
            self.resolved = False
            test.calls = []
            self.order = test.subscription(card=test.card())

        def teardown(self):
            self.savepoint.close(rollback=True)
            self.test.env.invalidate_all()
            self.test.env.registry.clear_cache()

        # Events

        @rule(days=st.integers(1, 45), answer=answers)
        def time_passes(self, days, answer):
            self.day += timedelta(days=days)
            self.nightly_run(answer)

        @rule(answer=answers)
        def nightly_run(self, answer):
            """Run both scheduled actions, the close first."""
            self.answer = answer
            self.test.expire(str(self.day))
            exception = self.order.payment_exception
            before = len(self.test.calls)
            charges = self.charges()
            late = charges.filtered(lambda charge: charge.state != "draft" and not charge.is_post_processed)
            with self.test.provider(self.asked), self.setting_aside():
                self.test.bill(str(self.day))
            if exception and not late and len(self.test.calls) > before:
                self.wrong.append(f"charged in exception: {self.test.calls[before:]}")

        @precondition(lambda self: self.test.calls)
        @rule(nth=st.integers(0, 30), answer=told, carried_out=st.booleans())
        def notification(self, nth, answer, carried_out):
            reference = self.test.calls[nth % len(self.test.calls)]
            transaction = self.test.env["payment.transaction"].search([("reference", "=", reference)])
            if transaction:
                with self.test.on(str(self.day)):
                    self.test.notify(transaction, answer, carried_out=carried_out)

        @precondition(lambda self: self.is_running())
        @rule(when=st.sampled_from(["now", "period_end"]))
        def close(self, when):
            with self.refusable():
                self.order.subscription_close(self.test.reason.id, when=when)

        @precondition(lambda self: self.order.is_closing)
        @rule()
        def keep(self):
            with self.refusable():
                self.order.subscription_keep()

        @precondition(lambda self: self.order.subscription_state == "churned")
        @rule()
        def reopen(self):
            self.interrupted = True
            with self.refusable():
                self.order.with_user(self.test.administrator).subscription_reopen()

        @precondition(lambda self: self.order.subscription_state == "progress")
        @rule(days=st.none() | st.integers(1, 40))
        def pause(self, days):
            self.interrupted = True
            with self.refusable():
                self.order.subscription_pause(days and self.day + timedelta(days=days))

        @precondition(lambda self: self.order.subscription_state == "paused")
        @rule()
        def resume(self):
            with self.refusable():
                self.order.subscription_resume()

        @rule(price=st.sampled_from([0, 40, 100, 250]))
        def change_price(self, price):
            with self.refusable():
                self.order.order_line.price_unit = price

        @rule()
        def invoice_by_hand(self):
            with self.refusable():
                self.order.with_user(self.test.accountant)._create_invoices().action_post()

        @rule()
        def credit(self):
            invoices = self.test.invoices(self.order).filtered(
                lambda invoice: invoice.state == "posted" and invoice.move_type == "out_invoice"
            )
            if invoices:
                self.interrupted = True
                wizards = invoices.env["account.move.reversal"].with_context(
                    active_model="account.move", active_ids=invoices[-1:].ids
                )
                with self.refusable():
                    wizard = wizards.create({"journal_id": invoices[-1:].journal_id.id})
                    invoices.browse(wizard.refund_moves()["res_id"]).action_post()

        @precondition(lambda self: self.order.payment_exception)
        @rule(outcome=st.sampled_from(["paid", "unpaid", "untick"]))
        def resolve(self, outcome):
            self.resolved = True
            with self.refusable():
                if outcome == "untick":
                    self.order.payment_exception = False
                else:
                    wizards = self.order.env["sale.subscription.resolve.wizard"]
                    wizards.create({"order_id": self.order.id, "outcome": outcome}).action_submit()

        # Invariants

        @invariant()
        def promises_hold(self):
            self.check_that_nothing_went_wrong()
            self.check_that_periods_do_not_overlap()
            self.check_that_every_charge_is_on_record()
            self.check_that_nothing_is_paid_twice_in_silence()
            self.check_that_invoiced_periods_have_a_posted_invoice()
            self.check_that_next_invoice_date_is_the_first_day_to_bill()
            self.check_that_exception_stands_while_an_outcome_is_unknown()
            self.check_that_only_what_is_unpaid_is_declined()

        def check_that_nothing_went_wrong(self):
            assert not self.wrong, self.wrong
            assert not self.errors, self.errors

        def check_that_periods_do_not_overlap(self):
            periods = self.test.billed_periods(self.order)
            assert all(end <= start for (_start, end), (start, _end) in pairwise(periods)), periods

        def check_that_every_charge_is_on_record(self):
            known = self.test.env["payment.transaction"].search([("reference", "in", self.test.calls)])
            assert set(known.mapped("reference")) == set(self.test.calls)
            assert len(set(self.test.calls)) == len(self.test.calls), "a reference was used twice"

        def check_that_nothing_is_paid_twice_in_silence(self):
            for invoice in self.order.sudo().invoice_ids:
                paid = invoice.transaction_ids.filtered(lambda charge: charge.state == "done")
                # A payment not post-processed yet is reported when it is.
                if len(paid) > 1 and all(paid.mapped("is_post_processed")):
                    assert "Paid twice" in self.test.todo(self.order), paid.mapped("reference")

        def check_that_invoiced_periods_have_a_posted_invoice(self):
            for period in self.order.sudo().period_ids.filtered(lambda period: period.state == "invoiced"):
                assert "posted" in period.invoice_ids.mapped("state"), period.display_name

        def check_that_next_invoice_date_is_the_first_day_to_bill(self):
            if not self.is_running():
                assert not self.order.next_invoice_date
                return
            billed = self.order.sudo().period_ids.filtered(lambda period: period.state == "invoiced")
            following = self.order.next_invoice_date
            assert not any(period.date_start <= following < period.date_end for period in billed)
            if not self.interrupted:
                assert following == max(billed.mapped("date_end"), default=date(2027, 1, 31))

        def check_that_exception_stands_while_an_outcome_is_unknown(self):
            if "unknown" in self.order.sudo().period_ids.mapped("charge_state"):
                assert self.order.payment_exception

        def check_that_only_what_is_unpaid_is_declined(self):
            declined = self.order.sudo().period_ids.filtered(lambda period: period.charge_state == "declined")
            assert all(period._get_open_invoice() for period in declined), declined.mapped("display_name")
            assert "Email not sent" not in self.test.todo(self.order)

        # Helpers

        def is_running(self):
            """Return whether the subscription is running, paused or not."""
            return self.order.subscription_state in ("progress", "paused")

        def charges(self):
            """Return the charges of the subscription, even if their periods no longer exist."""
            return self.test.env["payment.transaction"].search([("reference", "in", self.test.calls)])

        def asked(self, transaction):
            """Check the books at the moment of a charge, then answer."""
            order = self.order.sudo().with_env(transaction.env)
            if order.subscription_state != "progress":
                self.wrong.append(f"{transaction.reference} was asked for of a {order.subscription_state} subscription")
            others = transaction.invoice_ids.transaction_ids - transaction
            unsettled = others.filtered(lambda other: other._is_under_way() or other.state == "done")
            if unsettled:
                self.wrong.append(f"{transaction.reference} was asked for beside {unsettled.mapped('reference')}")
            if not transaction.amount:
                self.wrong.append(f"{transaction.reference} was asked for, and nothing is to pay")
            return {"timeout": requests.Timeout(), "unreadable": b"<html>"}.get(self.answer, self.answer)

        @contextmanager
        def setting_aside(self):
            """Fail when billing sets the subscription aside for a reason that users cannot understand."""
            set_aside = ScheduledSaleOrder._set_aside

            def noted(order, error):
                if not isinstance(error, UserError):
                    self.wrong.append(f"set aside: {error!r}")
                return set_aside(order, error)

            with unittest.mock.patch.object(ScheduledSaleOrder, "_set_aside", noted):
                yield

        @contextmanager
        def refusable(self):
            """Perform a user's action today; a refusal with a `UserError` is accepted."""
            try:
                with self.test.on(str(self.day)), self.test.env.cr.savepoint():
                    yield
                    self.test.flush_chatter()
            except UserError:
                self.test.env.invalidate_all()
