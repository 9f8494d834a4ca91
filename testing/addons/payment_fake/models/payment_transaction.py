import os

from odoo import models

from .. import killing, ways


class PaymentTransaction(models.Model):
    _inherit = "payment.transaction"

    def _charge_with_token(self):
        killing.reach("before-commit")
        return super()._charge_with_token()

    def _send_payment_request(self):
        if self.provider_code != "fake":
            return super()._send_payment_request()
        killing.reach("committed")
        try:
            return self._ask_fake_provider()
        finally:
            killing.reach("answered")

    def _ask_fake_provider(self):
        """Ask the provider to charge and process its answer, in the way named by the card's token.

        A token such as `ok~404:5` sends an inquiry after the charge, unless the card has been fixed, as Odoo's own
        providers also request a payment and then its details, or authorise first and capture later.
        """
        token = self.token_id.provider_ref
        data = {
            "reference": self.reference,
            "token": token,
            "amount": self.amount,
            "currency": self.currency_id.name,
        }
        treatment, _plus, way = token.partition(":")[0].partition("+")
        question = treatment.partition("~")[2]
        answer = ways.WAYS[way](self, "/charge", data)
        if answer and question and token not in os.environ.get("FAKE_PROVIDER_ACCEPTED", "").split(","):
            answer = ways.WAYS[way](self, "//nowhere" if question == "nowhere" else "/follow", data)
        if answer:
            self._process("fake", answer)

    def _extract_amount_data(self, payment_data):
        if self.provider_code != "fake":
            return super()._extract_amount_data(payment_data)
        return {"amount": payment_data["amount"], "currency_code": payment_data["currency"]}

    def _apply_updates(self, payment_data):
        if self.provider_code != "fake":
            return super()._apply_updates(payment_data)
        self.provider_reference = payment_data["provider_reference"]
        match payment_data["status"]:
            case "done":
                self._set_done()
            case "pending":
                self._set_pending()
            case _:
                self._set_error(payment_data["message"])

    def _extract_token_values(self, payment_data):
        if self.provider_code != "fake":
            return super()._extract_token_values(payment_data)
        return {"provider_ref": payment_data["token"], "payment_details": payment_data["token"][-4:]}

    def _post_process(self):
        if any(transaction.provider_code == "fake" and transaction.state == "done" for transaction in self):
            killing.reach("done")
        return super()._post_process()
