"""Any answer that is not clear counts as unknown, however the provider's code is written.

The provider answers over HTTP here, and each test contains the third-party code that talks to it.
"""

import doctest
import http.client
import json
import urllib.request
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from unittest.mock import patch

import requests

from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from odoo.addons.payment.models.payment_provider import PaymentProvider
from odoo.addons.payment.models.payment_transaction import PaymentTransaction

from ..tools import attempt
from .payment_common import SubscriptionPaymentCommon

SET_ASIDE = "odoo.addons.subscription_close_renew.models.subscription.sale_order_scheduled"
BROKE_OFF = "odoo.addons.subscription_close_renew.models.payment.payment_transaction"
FAILURE = "Payment failed."
NOWHERE = "http://127.0.0.1:9/charges"


class SilentTransport(Exception):
    """The error of a library that uses its own sockets."""


class LibraryTimeout(Exception):
    """The same for a timeout."""


class PaymentWireCommon(SubscriptionPaymentCommon):
    """A provider that answers over HTTP, and third-party code that talks to it.

    ``url``: its address; ``answers``: its answers, one per request: an HTTP status, or a text or
    dict with status 200, or None, which drops the connection.
    """

    def setUp(self):
        super().setUp()
        self.answers = answers = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"] or 0))
                answer = answers.pop(0)
                if answer is None:
                    return
                status, content = (answer, {"state": "declined"}) if isinstance(answer, int) else (200, answer)
                body = (content if isinstance(content, str) else json.dumps(content)).encode()
                self.send_response(status)
                self.send_header("Content-Length", len(body))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST

            def log_message(self, *_arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.url = f"http://127.0.0.1:{server.server_port}/charges"

    @contextmanager
    def code(self, send_payment_request, *answers):
        """Charge with third-party code, and set the provider's answers."""

        def ask(transaction):
            self.calls.append(transaction.reference)
            return send_payment_request(transaction)

        self.answers[:] = answers
        update = {"done": "_set_done", "declined": "_set_error", "canceled": "_set_canceled", "pending": "_set_pending"}
        with (
            self.provider("done"),
            patch.object(requests, "request", requests.api.request),
            patch.object(PaymentTransaction, "_send_payment_request", ask),
            patch.object(
                PaymentTransaction,
                "_apply_updates",
                lambda tx, data: (
                    tx._set_error("Declined.") if data["state"] == "declined" else getattr(tx, update[data["state"]])()
                ),
            ),
            patch.object(PaymentProvider, "_build_request_url", lambda _provider, _endpoint, **_kwargs: self.url),
            mute_logger("odoo.addons.payment.models.payment_provider", SET_ASIDE, BROKE_OFF),
        ):
            yield

    def outcome(self, send_payment_request, *answers):
        """Return the result of one charge by third-party code: its status, or ``not processed``."""
        order = self.subscription(card=self.card())
        with self.code(send_payment_request, *answers):
            self.bill()
        status = order.period_ids.status
        if order.payment_exception:
            self.assertEqual((status, self.todo(order), self.mails(order)), ("unknown", ["Payment Failure"], []))
        order.payment_exception = False
        order.subscription_close(self.reason.id)
        return "not processed" if status == "draft" else status

    def post(self, url=None):
        """Send a request with a plain `requests.post`."""
        return requests.post(url or self.url, json={}, timeout=5)


@tagged("post_install", "-at_install")
class TestPaymentWire(PaymentWireCommon):
    """P2: third-party code cannot turn an unclear answer into a decline."""

    def test_examples_in_the_documentation_hold(self):
        failed, attempted = doctest.testmod(attempt)
        self.assertTrue(attempted)
        self.assertFalse(failed)

    def test_nothing_is_observed_outside_of_an_attempt(self):
        self.answers[:] = [402]
        self.assertIsNone(attempt.get_attempt())
        self.assertEqual(self.post().status_code, 402)

    def test_wrapped_error_is_unknown(self):
        def wrapped(_transaction):
            try:
                self.post().raise_for_status()
            except requests.RequestException as error:
                raise ValidationError(FAILURE) from error

        def from_none(_transaction):
            try:
                self.post().raise_for_status()
            except requests.RequestException:
                raise ValidationError(FAILURE) from None

        def by_user_error(_transaction):
            try:
                self.post().raise_for_status()
            except requests.RequestException:
                raise UserError(FAILURE) from None

        for code in (wrapped, from_none, by_user_error):
            for answer in (None, 500, 503, 408, 409, 425):
                with self.subTest(code.__name__, answer=answer):
                    self.assertEqual(self.outcome(code, answer), "unknown")

    def test_own_set_error_is_unknown(self):
        def within(transaction):
            try:
                self.post().raise_for_status()
            except requests.RequestException as error:
                transaction._set_error(str(error))

        def afterwards(transaction):
            message = ""
            try:
                self.post().raise_for_status()
            except requests.RequestException as error:
                message = str(error)
            if message:
                transaction._set_error(message)

        def canceled(transaction):
            with suppress(requests.RequestException):
                self.post().raise_for_status()
            transaction._set_canceled("Payment failed")

        def written(transaction):
            with suppress(requests.RequestException):
                self.post().raise_for_status()
            transaction.write({"state": "error", "state_message": "Payment failed"})

        def by_status(transaction):
            with suppress(requests.ConnectionError):
                if self.post().ok:
                    return
            transaction._set_error("Payment failed")

        for code in (within, afterwards, canceled, written, by_status):
            for answer in (None, 500):
                with self.subTest(code.__name__, answer=answer):
                    self.assertEqual(self.outcome(code, answer), "unknown")

    def test_other_libraries_are_observed(self):
        def urllib_request(transaction):
            try:
                urllib.request.urlopen(self.url, data=b"{}", timeout=5)
            except OSError as error:
                message = str(error)
            transaction._set_error(message)

        def http_client(transaction):
            connection = http.client.HTTPConnection(self.url.split("/")[2], timeout=5)
            status = 402
            with suppress(http.client.HTTPException, OSError):
                connection.request("POST", "/charges", b"{}")
                status = connection.getresponse().status
            connection.close()
            if status != 200:
                transaction._set_error("Payment failed")

        def own_session(transaction):
            with requests.Session() as session, suppress(requests.RequestException):
                session.post(self.url, json={}, timeout=5).raise_for_status()
            transaction._set_error("Payment failed")

        for code in (urllib_request, http_client, own_session):
            with self.subTest(code.__name__):
                self.assertEqual(self.outcome(code, None), "unknown")
                self.assertEqual(self.outcome(code, 502), "unknown")
                self.assertEqual(self.outcome(code, 402), "declined")

    def test_what_cannot_be_observed_is_unknown(self):
        def silent(_transaction):
            try:
                raise SilentTransport
            except SilentTransport:
                raise ValidationError(FAILURE) from None

        def named(transaction):
            try:
                raise LibraryTimeout
            except LibraryTimeout as error:
                transaction._set_error(str(error))

        def swallowed(transaction):
            with suppress(SilentTransport):
                raise SilentTransport
            transaction._set_error("Payment failed")

        for code in (silent, named, swallowed):
            with self.subTest(code.__name__):
                self.assertEqual(self.outcome(code), "unknown")

    def test_answer_that_is_processed_needs_no_observed_request(self):
        def processed(transaction):
            transaction._process(transaction.provider_code, {"state": "declined"})

        def canceled(transaction):
            transaction.browse()._process(
                transaction.provider_code, {"state": "canceled", "reference": transaction.reference}
            )

        for code in (processed, canceled):
            with self.subTest(code.__name__):
                self.assertEqual(self.outcome(code), "declined")

    def test_request_of_the_provider_record_is_unknown(self):
        def ask(transaction):
            try:
                data = transaction.provider_id._send_api_request("POST", "charges", json={})
            except ValidationError as error:
                transaction._set_error(str(error))
            else:
                transaction._process(transaction.provider_code, data)

        for answer, outcome in (
            (None, "unknown"),
            (500, "unknown"),
            ("<html>Sorry</html>", "unknown"),
            (402, "declined"),
            (404, "not processed"),
            ({"state": "declined"}, "declined"),
            ({"state": "done"}, "paid"),
        ):
            with self.subTest(answer):
                self.assertEqual(self.outcome(ask, answer), outcome)

    def test_clear_answer_is_a_decline_however_it_is_read(self):
        def by_status(transaction):
            response = self.post()
            if not response.ok:
                transaction._set_error(response.json()["state"])

        def by_content(transaction):
            if self.post().json()["state"] == "declined":
                transaction._set_error("Declined.")

        def raising(_transaction):
            if self.post().json()["state"] == "declined":
                raise ValidationError(FAILURE)

        def raising_for_status(_transaction):
            try:
                self.post().raise_for_status()
            except requests.HTTPError:
                raise UserError(FAILURE) from None

        for code, answer in (
            (by_status, 402),
            (by_status, 400),
            (raising_for_status, 422),
            (by_content, {"state": "declined"}),
            (raising, {"state": "declined"}),
        ):
            with self.subTest(code.__name__, answer=answer):
                self.assertEqual(self.outcome(code, answer), "declined")

    def test_answer_that_cannot_be_read_is_unknown(self):
        def ask(transaction):
            data = {}
            with suppress(ValueError):
                data = self.post().json()
            if not data.get("paid"):
                transaction._set_error("Payment failed")

        def breaking_off(transaction):
            with suppress(KeyError):
                transaction._process(transaction.provider_code, self.post().json())
                return
            transaction._set_error("Payment failed")

        for code, answer in ((ask, "<html>Sorry</html>"), (ask, ""), (breaking_off, {"state": "something_new"})):
            with self.subTest(code.__name__, answer=answer):
                self.assertEqual(self.outcome(code, answer), "unknown")

    def test_answer_without_an_outcome_is_unknown_however_it_is_read(self):
        def by_content(transaction):
            response = self.post()
            data = response.json() if response.text else {}
            transaction._process(transaction.provider_code, {"state": data.get("state", "declined")})

        def by_request(transaction):
            data = transaction._send_api_request("POST", "charges", json={})
            transaction._process(transaction.provider_code, {"state": data.get("state", "declined")})

        for code, answer in ((by_content, ""), (by_request, {})):
            with self.subTest(code.__name__):
                self.assertEqual(self.outcome(code, answer), "unknown")

    def test_accepted_request_is_unknown_until_it_is_processed(self):
        def by_status(transaction):
            if self.post().status_code != 200:
                transaction._set_error("Declined.")

        def asking_again(transaction):
            self.post()
            transaction._process(transaction.provider_code, self.post().json())

        self.assertEqual(self.outcome(by_status, 202), "unknown")
        self.assertEqual(self.outcome(asking_again, 202, {"state": "declined"}), "declined")

    def test_every_request_of_the_attempt_counts(self):
        def twice(transaction):
            """Repeat a failed request, and rely on the second answer."""
            try:
                response = self.post()
                response.raise_for_status()
            except requests.RequestException:
                response = self.post()
            transaction._process(transaction.provider_code, response.json())

        for answers, outcome in (
            ((None, 402), "unknown"),
            ((500, 402), "unknown"),
            ((None, {"state": "declined"}), "unknown"),
            ((None, {"state": "canceled"}), "unknown"),
            ((None, {"state": "done"}), "paid"),
            ((None, {"state": "pending"}), "pending"),
            ((429, {"state": "declined"}), "declined"),
            ((404, 402), "declined"),
            ((404, 429), "not processed"),
        ):
            with self.subTest(answers):
                self.assertEqual(self.outcome(twice, *answers), outcome)

    def test_answered_charge_was_processed_whatever_comes_next(self):
        def inquire(transaction, url=None):
            self.post().raise_for_status()
            try:
                details = self.post(url)
                details.raise_for_status()
            except requests.RequestException as error:
                raise ValidationError(str(error)) from None
            transaction._process(transaction.provider_code, details.json())

        def inquire_nowhere(transaction):
            inquire(transaction, NOWHERE)

        for code, answers, outcome in (
            (inquire, (200, 401), "unknown"),
            (inquire, (200, 403), "unknown"),
            (inquire, (200, 404), "unknown"),
            (inquire, (200, 429), "unknown"),
            (inquire_nowhere, (200,), "unknown"),
            (inquire, (200, 402), "declined"),
            (inquire, (404,), "not processed"),
        ):
            with self.subTest(code.__name__, answers=answers):
                self.assertEqual(self.outcome(code, *answers), outcome)

    def test_unreachable_provider_did_not_process(self):
        def ask(_transaction):
            try:
                self.post(NOWHERE)
            except requests.RequestException as error:
                raise ValidationError(FAILURE) from error

        def swallow(transaction):
            with suppress(OSError):
                urllib.request.urlopen(NOWHERE, data=b"{}", timeout=5)
            transaction._set_error("Payment failed")

        for code in (ask, swallow):
            with self.subTest(code.__name__):
                self.assertEqual(self.outcome(code), "not processed")

    def test_inquiry_while_the_answer_is_read_decides_nothing(self):
        def ask(transaction):
            transaction._process(transaction.provider_code, self.post().json())

        def apply_updates(transaction, _data):
            try:
                transaction._send_api_request("GET", "charges/17")
            except ValidationError as error:
                transaction._set_error(str(error))

        for answer in (None, 500, 404, 400):
            with self.subTest(answer):
                order = self.subscription(card=self.card())
                with self.code(ask, 200, answer), patch.object(PaymentTransaction, "_apply_updates", apply_updates):
                    self.bill()
                self.assertEqual(order.period_ids.status, "unknown")
                order.payment_exception = False
                order.subscription_close(self.reason.id)

    def test_other_amount_after_a_dropped_request_is_unknown(self):
        def twice(transaction):
            with suppress(requests.RequestException):
                self.post()
            transaction._process(transaction.provider_code, {**self.post().json(), "state": "mismatch"})

        self.assertEqual(self.outcome(twice, None, 200), "unknown")

    def test_earlier_error_proves_nothing(self):
        def by_status(transaction):
            if not self.post().ok:
                transaction._set_error("Declined.")

        with self.assertRaises(requests.Timeout):
            try:
                raise requests.Timeout
            finally:
                self.assertEqual(self.outcome(by_status, 402), "declined")
