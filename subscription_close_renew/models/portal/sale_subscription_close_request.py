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
"""Maximum number of links mailed for one subscription within an hour, regardless of who asks."""
REQUESTS_PER_HOUR = 10
"""Maximum number of requests from one network address within an hour."""
_SCOPE = "subscription_public_closing"
_LINK_SCOPE = "subscription_public_closing_link"
_EMAIL_SCOPE = "subscription_public_closing_email"

# Labels prescribed by law, which translations must not change: {language: (link to the page, button that closes)}.
LEGAL_LABELS = {
    "de": ("Verträge hier kündigen", "jetzt kündigen"),  # § 312k BGB
    "fr": ("Résilier votre contrat", "notification de la résiliation"),  # art. D. 215-1 Code de la consommation
}


class SaleSubscriptionCloseRequest(models.Model):
    """A request to close a subscription without a login. Its customer receives a link by email.

    The answer reveals nothing: the request is only stored, and a scheduled action processes it.
    """

    _name = "sale.subscription.close.request"
    _description = "Request to Close a Subscription"
    _order = "id"
    _rec_name = "reference"

    reference = fields.Char(help="The order reference as entered. Emptied once the subscription has been looked up.")
    email = fields.Char(help="The email address as entered. Emptied once the subscription has been looked up.")
    ip_digest = fields.Char(
        string="Network Address", index=True, help="A fingerprint of the network address that the request came from."
    )
    is_done = fields.Boolean(index=True, help="The subscription has been looked up.")
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
    is_used = fields.Boolean(help="The subscription has been closed or kept since, so the link no longer closes it.")

    @api.model
    def _get_legal_labels(self):
        """Return the labels of the link to the public page and of the closing button, in the language of the user.

        :return: ``(link, button)``
        :rtype: tuple
        """
        language = (self.env.lang or "").partition("_")[0]
        return LEGAL_LABELS.get(language) or (self.env._("Close your subscription here"), self.env._("Close now"))

    @api.model
    def _is_open(self):
        """Return whether any company has enabled the public page.

        :rtype: bool
        """
        # sudo: anyone may know whether there is such a page, and nothing else is read.
        return bool(self.env["res.company"].sudo().search_count([("subscription_public_closing", "=", True)], limit=1))

    @api.model
    def _ask(self, reference, email, address):
        """Store a request for a link, unless there are too many from the same address.

        :param str reference: order reference as entered
        :param str email: email address as entered
        :param str address: network address of the sender
        :return: whether the request was stored
        :rtype: bool
        """
        # sudo: anyone may ask, within the limit below. Fingerprints cannot be traced back without the database secret.
        requests = self.sudo()
        digest = hmac(requests.env, _SCOPE, address or "")
        if requests.search_count([("ip_digest", "=", digest), *self._get_last_hour_domain()]) >= REQUESTS_PER_HOUR:
            return False
        requests.create({"reference": reference[:64], "email": email[:254], "ip_digest": digest})
        requests.env.ref("subscription_close_renew.ir_cron_subscription_close_request")._trigger()
        return True

    @api.model
    def _cron_send_links(self):
        """Process pending requests one at a time, and send links to the customers of the subscriptions."""
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
        """Delete requests whose link has expired."""
        # A link is sent a few minutes after its request, and works only while the request exists.
        self.search([("create_date", "<", fields.Datetime.now() - timedelta(hours=LINK_HOURS + 1))]).unlink()

    def _send_link(self):
        """Mail the link that closes the subscription, if the reference and email address match."""
        self.ensure_one()
        order = self._find_order()
        sent = [("order_id", "=", order.id), *self._get_last_hour_domain()]
        if not order or self.search_count(sent) >= LINKS_PER_HOUR:
            return
        self.write({"order_id": order.id, "email_digest": self._get_email_digest(self.email)})
        # If the mail fails, staff read the reason in their language.
        order = order._with_staff_lang()
        template = order._get_subscription_mail_template("subscription_close_renew.mail_template_public_closing")
        if not template:
            order._ask_to_call_customer(
                order.env._(
                    "The customer asked for a link to close %(order)s, but the email template of the link is archived or "
                    "deleted. Restore the template, and close the subscription for the customer.",
                    order=order.name,
                )
            )
            return
        try:
            with self.env.cr.savepoint():
                self._mail_link(template)
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            raise
        except Exception as error:
            order._notify_mail_failure(template, error)

    def _mail_link(self, template):
        """Mail the link that closes the subscription to the requester.

        :param template: the `mail.template`
        """
        self.ensure_one()
        # The mail is kept out of the chatter, so that nobody else opens the link by mistake.
        template.with_context(closing_url=self.order_id.get_base_url() + self._get_link()).send_mail(
            self.order_id.id,
            email_values={"email_to": email_normalize(self.email), "model": False, "res_id": False},
            email_layout_xmlid="mail.mail_notification_layout",
        )

    def _find_order(self):
        """Return the requested subscription or its running renewal; empty if the email address does not match.

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
        # A renewal may have been sold to a different customer.
        customers = found.partner_id.commercial_partner_id
        renewed_by = found.search(
            [
                ("origin_order_id", "in", found.origin_order_id.ids),
                ("subscription_state", "in", orders._get_running_states()),
            ]
        ).filtered(
            lambda order: order.partner_id.commercial_partner_id in customers and email in self._get_addresses(order)
        )
        # Companies may share a number: a subscription already scheduled to close must not hide the other one.
        running = found.filtered(lambda order: order._is_running()).sorted("is_closing")
        return (running or renewed_by or found)[:1]

    @api.model
    def _get_last_hour_domain(self):
        return Domain("create_date", ">", fields.Datetime.now() - timedelta(hours=1))

    @api.model
    def _get_addresses(self, order):
        """Return the email addresses of the customer of a subscription.

        :param order: `sale.order`
        :rtype: list
        """
        partners = order.partner_id | order.partner_invoice_id
        # Includes the contacts who receive its mails if the customer has no address.
        partners = partners.union(*(each._get_notified_partners() for each in order))
        return [email for email in partners.mapped("email_normalized") if email]

    @api.model
    def _get_email_digest(self, email):
        return hmac(self.sudo().env, _EMAIL_SCOPE, email_normalize(email))

    @api.model
    def _use_up(self, orders):
        """Invalidate the links that were sent for subscriptions.

        :param orders: `sale.order`
        """
        # sudo: users cannot write requests; the callers have checked the right to close or keep the subscriptions.
        self.sudo().search([("order_id", "in", orders.ids), ("is_used", "=", False)]).is_used = True

    def _get_link(self):
        """Return the URL that closes the subscription of a request, valid for a day for anyone who has it.

        :rtype: str
        """
        self.ensure_one()
        # sudo: only system administrators can read the database secret, which signs the link.
        token = hash_sign(self.sudo().env, _LINK_SCOPE, self.id, expiration_hours=LINK_HOURS)
        return f"{PUBLIC_CLOSING_PATH}/{token}"

    @api.model
    def _read_link(self, token):
        """Return the subscription that a link closes, in sudo mode; empty if the link is not genuine, expired or used.

        A subscription that is already closed is returned as well, so that the page can say so.

        :param str token: the last part of the link
        :rtype: sale.order
        """
        # sudo: the link was mailed to the customer; its signature and email address are checked below.
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
