"""Helpers for tests about charging subscriptions: a provider whose answers the test chooses.

Charges run through Odoo's own provider code, down to the library that sends requests::

    order = self.subscription(card=self.card())
    with self.provider("declined"):
        self.bill()
    self.assertEqual(order.period_ids.status, "declined")
"""

from contextlib import contextmanager
from unittest.mock import patch

import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError

from odoo.fields import Command
from odoo.tools import mute_logger

from odoo.addons.payment.models.payment_provider import PaymentProvider
from odoo.addons.payment.models.payment_transaction import PaymentTransaction

from .common import SubscriptionCommon

PROVIDER_CODE = "subscription_test"
"""Code of the test's providers: unlike `none` and `custom`, whose pending payments Odoo takes for mere promises."""


class Killed(BaseException):
    """Simulates a killed process: no error handler catches it."""


def unreachable():
    """Return the error that `requests` raises when no connection can be made, so nothing was sent."""
    refused = NewConnectionError(None, "Connection refused")
    return requests.ConnectionError(MaxRetryError(None, "/charges", reason=refused))


class SubscriptionPaymentCommon(SubscriptionCommon):
    """A company whose customers pay with stored cards.

    Class attributes: ``payment_provider``, ``payment_method``; ``calls``: the references of the transactions that the
    provider was asked to charge, in order.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Requests made in the set-up of the class count for each test.
        cls.calls = []
        cls._rest_other_companies()
        code = cls.env.registry["payment.provider"]._fields["code"]
        known = [*code.selection, (PROVIDER_CODE, "Test Provider")]
        cls.startClassPatcher(patch.multiple(code, selection=known, _selection=dict(known)))
        cls.startClassPatcher(patch.object(PaymentProvider, "_compute_feature_support_fields", cls._support_features))
        cls.payment_method = cls.env["payment.method"].create(
            {"name": "Card", "code": "subscription_card", "support_tokenization": True, "active": True}
        )
        cls.env["payment.provider"]._setup_payment_method(PROVIDER_CODE)
        cls.payment_provider = cls.make_provider("Test Provider")

    @staticmethod
    def _support_features(providers):
        providers.write(
            {
                "support_express_checkout": False,
                "support_manual_capture": "full_only",
                "support_refund": "partial",
                "support_tokenization": True,
            }
        )

    @classmethod
    def _rest_other_companies(cls):
        """Move the due dates of the demo companies' subscriptions away, as no test is about them."""
        others = [("company_id", "!=", cls.company.id), ("subscription_state", "=", "progress")]
        orders = cls.env["sale.order"].with_context(tracking_disable=True)
        orders.search(others).next_invoice_date = "2999-01-01"

    @classmethod
    def make_provider(cls, name, code=PROVIDER_CODE):
        """Return a provider whose payments the company receives in its bank.

        :param str name: its name
        :param str code: ``none`` for a provider that charges nothing, such as wire transfers
        :rtype: payment.provider
        """
        provider = cls.env["payment.provider"].create(
            {
                "name": name,
                "code": code,
                "state": "test",
                "is_published": True,
                "company_id": cls.company.id,
                "payment_method_ids": [Command.set(cls.payment_method.ids)],
                "allow_tokenization": True,
            }
        )
        methods = cls.env["account.payment.method"].sudo()
        method = methods.search([("code", "=", code), ("payment_type", "=", "inbound")], limit=1) or methods.create(
            {"name": name, "code": code, "payment_type": "inbound"}
        )
        lines = cls.env["account.payment.method.line"]
        line = lines.search([("payment_provider_id", "=", provider.id)]) or lines.create(
            {
                "name": name,
                "journal_id": cls.bank_journal.id,
                "payment_method_id": method.id,
                "payment_provider_id": provider.id,
            }
        )
        line.payment_account_id = cls.outstanding
        return provider

    def setUp(self):
        super().setUp()
        self.calls = list(self.calls)

    @classmethod
    def card(cls, partner=None, **values):
        """Return a stored card of a customer.

        :param partner: the owner (by default, the customer)
        :rtype: payment.token
        """
        return cls.env["payment.token"].create(
            {
                "provider_id": cls.payment_provider.id,
                "payment_method_id": cls.payment_method.id,
                "partner_id": (partner or cls.customer).id,
                "provider_ref": "card",
                "payment_details": "4242",
                **values,
            }
        )

    @classmethod
    def subscription(cls, card=None, **values):
        """Return a subscription in progress that is charged to a card; see :meth:`SubscriptionCommon.subscription`."""
        order = super().subscription(**values)
        order.payment_token_id = card
        cls.flush_chatter()
        return order

    @contextmanager
    def provider(self, *answers):
        """Set the provider's answers to charges, in order; the last one is used for all further charges.

        :param answers: ``done``, ``pending``, ``authorized``, ``declined``, ``cancelled``; ``mismatch``, another amount;
            an HTTP status; any other word, unknown to the provider's code, or bytes, which are not JSON;
            an exception raised by `requests`, such as ``requests.Timeout()``; or a function that is called with the
            transaction at the moment of the request and returns one of these
        """
        left = list(answers)
        asked = []

        def request(*args, **kwargs):
            answer = left.pop(0) if len(left) > 1 else left[0]
            if callable(answer):
                answer = answer(asked[-1])
            if isinstance(answer, BaseException):
                raise answer
            response = requests.Response()
            response.status_code = answer if isinstance(answer, int) else 200
            response.url = "https://provider.example.com/charges"
            response._content = answer if isinstance(answer, bytes) else f'{{"state": "{answer}"}}'.encode()
            return response

        def send_payment_request(transaction):
            self.calls.append(transaction.reference)
            asked.append(transaction)
            data = transaction._send_api_request("POST", "charges", json={"reference": transaction.reference})
            transaction._process(transaction.provider_code, {"reference": transaction.reference, **data})

        def extract_amount_data(transaction, data):
            # Providers send refunded amounts without a sign.
            amount = abs(transaction.amount) / (2 if data["state"] == "mismatch" else 1)
            return {"amount": amount, "currency_code": transaction.currency_id.name}

        def apply_updates(transaction, data):
            update = {
                "done": transaction._set_done,
                "pending": transaction._set_pending,
                "authorized": transaction._set_authorized,
                "declined": lambda: transaction._set_error("Insufficient funds."),
                "cancelled": transaction._set_canceled,
            }
            update[data["state"]]()

        with (
            # Odoo logs a provider's refusal as an error.
            mute_logger("odoo.addons.payment.models.payment_provider"),
            patch.object(requests, "request", request),
            patch.object(PaymentTransaction, "_send_payment_request", send_payment_request),
            patch.object(PaymentTransaction, "_extract_amount_data", extract_amount_data),
            patch.object(PaymentTransaction, "_apply_updates", apply_updates),
        ):
            yield

    def notify(self, transaction, answer, carried_out=True):
        """Send a notification of the provider about a payment, and have Odoo process it.

        :param transaction: `payment.transaction`
        :param str answer: as for :meth:`provider`
        :param bool carried_out: whether Odoo's own scheduled action post-processes it
        """
        with self.provider(answer):
            transaction = transaction.sudo()
            transaction._process(transaction.provider_code, {"reference": transaction.reference, "state": answer})
            if carried_out:
                self.run_scheduled_action("payment.cron_post_process_payment_tx")

    def online_payment(self, documents, card=None, provider=None, **values):
        """Return the payment that a customer has started on the provider's page, as the portal creates it.

        :param documents: the orders or invoices to pay
        :param card: the card stored with the payment
        :param provider: by default, the provider of the test
        :rtype: payment.transaction
        """
        documents = documents.sudo()
        field = "invoice_ids" if documents._name == "account.move" else "sale_order_ids"
        provider = provider or self.payment_provider
        transactions = self.env["payment.transaction"]
        return transactions.create(
            {
                "provider_id": provider.id,
                "payment_method_id": self.payment_method.id,
                "operation": "online_direct" if card else "online_redirect",
                "token_id": card and card.id,
                "reference": transactions._compute_reference(provider.code, prefix="portal"),
                "amount": sum(documents.mapped("amount_total")),
                "currency_id": documents.currency_id.id,
                "partner_id": documents.partner_id.id,
                field: [Command.set(documents.ids)],
                **values,
            }
        )

    def charges(self, order):
        """Return the transactions of a subscription, in order of creation.

        :rtype: payment.transaction
        """
        return order.sudo().period_ids.transaction_ids.sorted("id")

    def payments(self, order):
        """Return the payments received for a subscription, however they were made.

        :rtype: account.payment
        """
        return order.sudo().period_ids.invoice_ids.matched_payment_ids | self.charges(order).payment_id

    def todo(self, orders):
        """Return the summaries of the activities of subscriptions.

        :rtype: list
        """
        return orders.sudo().activity_ids.mapped("summary")
