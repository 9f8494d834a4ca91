"""A vocabulary for tests about charging subscriptions: a provider whose answers the test chooses.

It goes through Odoo's ordinary provider code, down to the library that sends requests::

    order = self.subscription(card=self.card())
    with self.provider("declined"):
        self.bill()
    self.assertEqual(order.period_ids.status, "declined")
"""

from contextlib import contextmanager
from unittest.mock import patch

import requests

from odoo.addons.payment.models.payment_transaction import PaymentTransaction

from .common import SubscriptionCommon


class SubscriptionPaymentCommon(SubscriptionCommon):
    """A company whose customers pay with stored cards.

    Class attributes: ``payment_provider``, ``payment_method``; ``calls``: the references of the transactions that the
    provider was asked to charge, in order.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        bank, outstanding = cls.env["account.account"].create(
            [
                {"code": "101401", "name": "Bank", "account_type": "asset_cash"},
                {"code": "101402", "name": "Outstanding Receipts", "account_type": "asset_current", "reconcile": True},
            ]
        )
        journal = cls.env["account.journal"].create(
            {
                "name": "Bank",
                "code": "BNK",
                "type": "bank",
                "company_id": cls.company.id,
                "default_account_id": bank.id,
            }
        )
        journal.inbound_payment_method_line_ids.payment_account_id = outstanding
        cls.payment_method = cls.env["payment.method"].create(
            {"name": "Card", "code": "subscription_card", "support_tokenization": True, "active": True}
        )
        cls.payment_provider = cls.env["payment.provider"].create(
            {
                "name": "Test Provider",
                "code": "none",
                "state": "test",
                "is_published": True,
                "company_id": cls.company.id,
                "payment_method_ids": [(6, 0, cls.payment_method.ids)],
                "allow_tokenization": True,
            }
        )
        code = cls.env["account.payment.method"].sudo().create(
            {"name": "Test Provider", "code": "none", "payment_type": "inbound"}
        )
        journal.inbound_payment_method_line_ids = [
            (
                0,
                0,
                {
                    "payment_method_id": code.id,
                    "payment_provider_id": cls.payment_provider.id,
                    "payment_account_id": outstanding.id,
                },
            )
        ]

    def setUp(self):
        super().setUp()
        self.calls = []

    def card(self, partner=None, **values):
        """Return a stored card of a customer.

        :param partner: whose it is (the customer, if not given)
        :rtype: payment.token
        """
        return self.env["payment.token"].create(
            {
                "provider_id": self.payment_provider.id,
                "payment_method_id": self.payment_method.id,
                "partner_id": (partner or self.customer).id,
                "provider_ref": "card",
                "payment_details": "4242",
                **values,
            }
        )

    def subscription(self, card=None, **values):
        """Return a subscription in progress that is charged to a card; see :meth:`SubscriptionCommon.subscription`."""
        order = super().subscription(**values)
        order.payment_token_id = card
        self.flush_chatter()
        return order

    @contextmanager
    def provider(self, *answers):
        """Let the provider answer to charges, one after the other; the last one holds for all that follow.

        :param answers: ``done``, ``pending``, ``declined``; ``mismatch``, another amount; an HTTP status; or an
            exception that `requests` raises, such as ``requests.Timeout()``
        """
        left = list(answers)

        def request(*args, **kwargs):
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            response = requests.Response()
            response.status_code = answer if isinstance(answer, int) else 200
            response.url = "https://provider.example.com/charges"
            response._content = f'{{"state": "{answer}"}}'.encode()
            return response

        def send_payment_request(transaction):
            self.calls.append(transaction.reference)
            data = transaction._send_api_request("POST", "charges", json={"reference": transaction.reference})
            transaction._process("none", {"reference": transaction.reference, **data})

        def extract_amount_data(transaction, data):
            amount = transaction.amount / 2 if data["state"] == "mismatch" else transaction.amount
            return {"amount": amount, "currency_code": transaction.currency_id.name}

        def apply_updates(transaction, data):
            update = {
                "done": transaction._set_done,
                "pending": transaction._set_pending,
                "declined": lambda: transaction._set_error("Insufficient funds."),
                "cancelled": transaction._set_canceled,
            }
            update[data["state"]]()

        with (
            patch.object(requests, "request", request),
            patch.object(PaymentTransaction, "_send_payment_request", send_payment_request),
            patch.object(PaymentTransaction, "_extract_amount_data", extract_amount_data),
            patch.object(PaymentTransaction, "_apply_updates", apply_updates),
        ):
            yield

    def notify(self, transaction, answer):
        """Let the provider tell by itself what became of a payment, and Odoo carry it out.

        :param transaction: `payment.transaction`
        :param str answer: as for :meth:`provider`
        """
        with self.provider(answer):
            transaction.sudo()._process("none", {"reference": transaction.reference, "state": answer})
            self.run_scheduled_action("payment.cron_post_process_payment_tx")

    def bill(self, until="2027-01-31"):
        """Run the scheduled action that invoices and charges what is due, as the scheduler does.

        :param str until: when it runs, as for :meth:`on`
        """
        with self.on(until):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_billing")

    def charges(self, order):
        """Return the transactions of a subscription, in the order of their making.

        :rtype: payment.transaction
        """
        return order.sudo().period_ids.transaction_ids.sorted("id")
