import logging
from datetime import timedelta

from odoo import api, fields, models
from odoo.fields import Domain
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import email_normalize, hash_sign, verify_hash_signed
from odoo.tools.misc import hmac

_logger = logging.getLogger(__name__)

PUBLIC_CLOSING_PATH = "/subscriptions/close"
LINK_HOURS = 24
LINKS_PER_HOUR = 3
"""How many links to close one subscription are mailed in an hour, whoever asks."""
REQUESTS_PER_HOUR = 10
"""How often one address of the network may ask in an hour."""
_SCOPE = "subscription_public_closing"
_LINK_SCOPE = "subscription_public_closing_link"
_EMAIL_SCOPE = "subscription_public_closing_email"

# Where the law words the buttons, no translation may change them: {language: (link to the page, button that closes)}.
LEGAL_LABELS = {
    "de": ("Verträge hier kündigen", "jetzt kündigen"),  # § 312k BGB
    "fr": ("Résilier votre contrat", "notification de la résiliation"),  # art. D. 215-1 Code de la consommation
}


class SaleSubscriptionCloseRequest(models.Model):
    """Somebody without a login asks to close a subscription, and gets a link by email if it is theirs.

    Whoever asks learns nothing: the request is only written down, and looked at by a scheduled action.
    """

    _name = "sale.subscription.close.request"
    _description = "Request to Close a Subscription"
    _order = "id"
    _rec_name = "reference"

    reference = fields.Char(help="The order, as it was typed in; emptied once it was looked for.")
    email = fields.Char(help="The email address, as it was typed in; emptied once it was looked for.")
    ip_digest = fields.Char(string="Network Address", index=True, help="A fingerprint of where the request came from.")
    is_done = fields.Boolean(index=True, help="The subscription was looked for.")
    order_id = fields.Many2one(
        comodel_name="sale.order",
        string="Subscription",
        index="btree_not_null",
        ondelete="cascade",
        help="The subscription for which a link was sent.",
    )
    email_digest = fields.Char(
        string="Email Address Fingerprint", help="A fingerprint of the email address that the link was sent to."
    )
    is_used = fields.Boolean(
        help="The subscription has been closed or kept since then, so the link no longer closes it."
    )

    @api.model
    def _get_legal_labels(self):
        """Return how the link to the public page and the button that closes are called in the language of the user.

        :return: ``(link, button)``
        :rtype: tuple
        """
        language = (self.env.lang or "").partition("_")[0]
        return LEGAL_LABELS.get(language) or (self.env._("Close your subscription here"), self.env._("Close now"))

    @api.model
    def _is_open(self):
        """Tell whether any company has switched the public page on.

        :rtype: bool
        """
        # Anybody may know whether there is such a page.
        return bool(self.env["res.company"].sudo().search_count([("subscription_public_closing", "=", True)], limit=1))

    @api.model
    def _ask(self, reference, email, address):
        """Write down that somebody asks for a link, unless too many requests came from there.

        :param str reference: the order, as typed in
        :param str email: the email address, as typed in
        :param str address: where the request comes from in the network
        :return: whether it was written down
        :rtype: bool
        """
        # Anybody may ask. Fingerprints are made with a key of the database, and cannot be traced back without it.
        requests = self.sudo()
        digest = hmac(requests.env, _SCOPE, address or "")
        if requests.search_count([("ip_digest", "=", digest), *self._get_last_hour_domain()]) >= REQUESTS_PER_HOUR:
            return False
        requests.create({"reference": reference[:64], "email": email[:254], "ip_digest": digest})
        requests.env.ref("subscription_close_renew.ir_cron_subscription_close_request")._trigger()
        return True

    @api.model
    def _cron_send_links(self):
        """Send links to those whose requests are theirs to make, one request at a time."""
        pending = self.search([("is_done", "=", False)])
        for done, close_request in enumerate(pending, start=1):
            try:
                with self.env.cr.savepoint():
                    close_request._send_link()
            except Exception as error:
                _logger.warning("The request %s to close a subscription failed", close_request.id, exc_info=error)
            close_request.write({"is_done": True, "reference": False, "email": False})
            self.env["ir.cron"]._commit_progress(1, remaining=len(pending) - done)

    @api.autovacuum
    def _gc_requests(self):
        """Forget requests of the day before yesterday and earlier."""
        # A link is sent some minutes after it was asked for, and as valid as its request.
        self.search([("create_date", "<", fields.Datetime.now() - timedelta(hours=LINK_HOURS + 1))]).unlink()

    def _send_link(self):
        """Mail the link that closes the subscription, if reference and email address go together."""
        self.ensure_one()
        order = self._find_order()
        sent = [("order_id", "=", order.id), *self._get_last_hour_domain()]
        if not order or self.search_count(sent) >= LINKS_PER_HOUR:
            return
        self.write({"order_id": order.id, "email_digest": self._get_email_digest(self.email)})
        # Staff read why the customer got none, in their language.
        order = order._with_staff_lang()
        template = order._get_subscription_mail_template("subscription_close_renew.mail_template_public_closing")
        if not template:
            order._ask_to_call_customer(order._get_no_template_message())
            return
        try:
            with self.env.cr.savepoint():
                self._mail_link(template)
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            raise
        except Exception as error:
            order._notify_mail_failure(template, error)

    def _mail_link(self, template):
        """Mail the link that closes the subscription to who asked for it.

        :param template: the `mail.template`
        """
        self.ensure_one()
        # The mail is no part of the chatter: nobody else is to open the link by mistake.
        template.with_context(closing_url=self.order_id.get_base_url() + self._get_link()).send_mail(
            self.order_id.id,
            email_values={"email_to": email_normalize(self.email), "model": False, "res_id": False},
            email_layout_xmlid="mail.mail_notification_layout",
        )

    def _find_order(self):
        """Return the subscription that is meant, or the one that has renewed it; none if the email address is another.

        :rtype: sale.order
        """
        self.ensure_one()
        reference, email = (self.reference or "").strip(), email_normalize(self.email)
        orders = self.env["sale.order"]
        if not reference or not email:
            return orders
        found = orders.search(
            Domain("name", "in", [reference, reference.upper()])
            & Domain("state", "=", "sale")
            & Domain("plan_id", "!=", False)
            & Domain("company_id.subscription_public_closing", "=", True)
        ).filtered(lambda order: email in self._get_addresses(order))
        # A renewal may have been sold to somebody else.
        customers = found.partner_id.commercial_partner_id
        renewed_by = found.search(
            [
                ("origin_order_id", "in", found.origin_order_id.ids),
                ("subscription_state", "in", orders._get_running_states()),
            ]
        ).filtered(
            lambda order: order.partner_id.commercial_partner_id in customers and email in self._get_addresses(order)
        )
        # Companies may use a number twice: one that closes already is not in the way of another.
        running = found.filtered(lambda order: order._is_running()).sorted("is_closing")
        return (running or renewed_by or found)[:1]

    @api.model
    def _get_last_hour_domain(self):
        return Domain("create_date", ">", fields.Datetime.now() - timedelta(hours=1))

    @api.model
    def _get_addresses(self, order):
        """Return the email addresses that the customer of a subscription is known by.

        :param order: `sale.order`
        :rtype: list
        """
        partners = order.partner_id | order.partner_invoice_id
        # Also that which its mails go to, where the contact has none.
        partners = partners.union(*(each._get_notified_partners() for each in order))
        return [email for email in partners.mapped("email_normalized") if email]

    @api.model
    def _get_email_digest(self, email):
        return hmac(self.sudo().env, _EMAIL_SCOPE, email_normalize(email))

    @api.model
    def _use_up(self, orders):
        """Let the links that were sent for subscriptions close nothing any more.

        :param orders: `sale.order`
        """
        # Whoever may close or keep the subscriptions ends the links to do so.
        self.sudo().search([("order_id", "in", orders.ids), ("is_used", "=", False)]).is_used = True

    def _get_link(self):
        """Return the address that closes the subscription of a request for whoever has it, for a day.

        :rtype: str
        """
        self.ensure_one()
        # The key of the database signs it.
        token = hash_sign(self.sudo().env, _LINK_SCOPE, self.id, expiration_hours=LINK_HOURS)
        return f"{PUBLIC_CLOSING_PATH}/{token}"

    @api.model
    def _read_link(self, token):
        """Return the subscription that a link closes, in sudo mode; none if it is not genuine, too old, or used.

        One that is closed already is returned, too, so that its customer is told.

        :param str token: the last part of the link
        :rtype: sale.order
        """
        # Whoever has the link has got it by the email address of the customer, which has to be theirs still.
        requests = self.sudo()
        try:
            request_id = verify_hash_signed(requests.env, _LINK_SCOPE, token)
        except ValueError:
            request_id = None
        close_request = requests.browse(request_id).exists()
        order = close_request.order_id.filtered("company_id.subscription_public_closing")
        digests = [self._get_email_digest(email) for email in self._get_addresses(order)]
        if close_request.email_digest not in digests or (close_request.is_used and not order._get_close_refusal()):
            return order.browse()
        return order
