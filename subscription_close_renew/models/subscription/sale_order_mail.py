import logging

from odoo import models
from odoo.tools import email_normalize

_logger = logging.getLogger(__name__)


class SaleOrder(models.Model):
    """Emails to the customer of a subscription."""

    _inherit = "sale.order"

    def _send_subscription_mail(self, template_xml_id, record=None, partners=None):
        """Send an email to the customer of a subscription, and show it in the chatter.

        The email is queued when this transaction is committed. A failure does not stop the caller. Administrators can
        archive the template to send no such email. If nobody can be reached, an activity asks a member of staff to call
        the customer. If something depends on the email, use :meth:`_notify_customer`.

        :param str template_xml_id: external id of a `mail.template`
        :param record: record to render the template for; the subscription by default
        :param partners: recipients; :meth:`_get_notified_partners` by default, or if none has an email address
        :return: the message sent; empty if sending failed or the template is archived
        :rtype: mail.message
        """
        self.ensure_one()
        message = self.env["mail.message"]
        template = self._get_subscription_mail_template(template_xml_id)
        if not template:
            return message
        record = self if record is None else record
        partners = (partners or self.partner_id.browse()).filtered(self._is_reachable)
        partners = partners or self._get_notified_partners()
        # Flush first: a concurrent change has to restart the transaction, not count as a failed email.
        self.env.flush_all()
        try:
            with self.env.cr.savepoint():
                rendered = template._generate_template(record.ids, ("subject", "body_html", "email_from"))[record.id]
                message = self.with_context(mail_notify_force_send=False).message_post(
                    subject=rendered["subject"],
                    body=rendered["body_html"],
                    partner_ids=partners.ids,
                    message_type="comment",
                    subtype_xmlid="mail.mt_comment",
                    email_layout_xmlid="mail.mail_notification_layout",
                    # Without this, a customer who is also the salesperson gets no email.
                    notify_author_mention=True,
                    **self._prepare_sender_values(rendered.get("email_from")),
                )
        except Exception as error:
            self._notify_mail_failure(template, error)
        else:
            if not partners:
                self._ask_to_call_customer(self._get_no_address_message(template))
        return message

    def _notify_mail_failure(self, template, error):
        """Schedule an activity about an email that could not be created.

        :param template: the `mail.template`
        :param Exception error: the error
        """
        self.ensure_one()
        _logger.warning("The mail %s of subscription %s failed", template.name, self.name, exc_info=error)
        self._ask_for_attention(
            self.env._("Email not sent"),
            self.env._("The email %(template)s could not be created: %(error)s", template=template.name, error=error),
        )

    def _notify_customer(self, template_xml_id, record=None, notice=None):
        """Send a notice that must reach the customer before its consequence can happen.

        :param str template_xml_id: external id of a `mail.template`
        :param record: record to render the template for; the subscription by default
        :param notice: the record that stores the notice (`sale.subscription.notice.mixin`); `record` by default
        :return: the email addresses of the recipients; empty if nobody can be reached, which schedules an activity
        :rtype: list
        """
        self.ensure_one()
        record = self if record is None else record
        notice = record if notice is None else notice
        if obstacle := self._get_notice_obstacle(template_xml_id, notice):
            self._ask_to_call_customer(obstacle)
            return []
        # sudo: only code writes this field. The waiting time does not count from a lost notice.
        notice.sudo().subscription_notice_id = False
        message = self._send_subscription_mail(template_xml_id, record)
        emails = message.sudo().notification_ids.res_partner_id.filtered(
            lambda partner: partner in message.sudo().partner_ids
        )
        emails = emails.mapped("email_normalized")
        # sudo: only code writes these fields; the method that sends the notice has checked the right to the order.
        notice.sudo().write({"subscription_notice_id": message.id, "subscription_notice_email": ", ".join(emails)})
        return emails

    def _get_notice_obstacle(self, template_xml_id, notice):
        """Return the reason why a notice would reach nobody, and what to do, or False.

        :param str template_xml_id: external id of a `mail.template`
        :param notice: the record that stores the notice
        :rtype: str | bool
        """
        self.ensure_one()
        template = self._get_subscription_mail_template(template_xml_id)
        if not template:
            return self._get_no_template_message()
        emails = self._get_notified_partners().mapped("email_normalized")
        if not emails:
            return self._get_no_address_message(template)
        if notice._is_notice_address_bad(emails):
            return self.env._(
                "The email %(template)s did not reach %(email)s. Correct the email address of %(customer)s, or call the "
                "customer. Until then, %(order)s will not be closed or renewed automatically.",
                template=template.name,
                email=", ".join(emails),
                customer=self.partner_id.display_name,
                order=self.name,
            )
        return False

    def _get_no_template_message(self):
        return self.env._(
            "The email template of a notice is archived or deleted, so the customer cannot be notified and "
            "%(order)s will not be closed or renewed automatically. Restore the template.",
            order=self.name,
        )

    def _get_no_address_message(self, template):
        return self.env._(
            "%(customer)s has no valid email address, so nobody received the email %(template)s. Enter an address on the "
            "contact, or call the customer. Without an address, %(order)s will not be closed or renewed automatically.",
            customer=self.partner_id.display_name,
            template=template.name,
            order=self.name,
        )

    def _ask_to_call_customer(self, note):
        """Schedule an activity about a customer who could not be reached.

        :param str note: the reason, and what to do
        """
        self._ask_for_attention(self.env._("Customer not reached"), note)

    def _get_subscription_mail_template(self, template_xml_id):
        """Return a mail template in sudo mode, unless it is archived or deleted.

        :rtype: mail.template
        """
        template = self.env.ref(template_xml_id, raise_if_not_found=False) or self.env["mail.template"]
        # sudo: salespeople cannot read mail templates; the caller has checked the right to the order.
        return template.sudo().filtered("active")

    def _get_notified_partners(self):
        """Return the recipient of emails about a subscription: the invoice address, or the customer if it has no email.

        :return: empty if neither has a valid email address
        :rtype: res.partner
        """
        self.ensure_one()
        for partner in (self.partner_invoice_id, self.partner_id, self.partner_id.commercial_partner_id):
            if self._is_reachable(partner):
                return partner
        return self.partner_id.browse()

    def _is_reachable(self, partner):
        """Return whether Odoo can send emails to a contact.

        :rtype: bool
        """
        return bool(partner.active and partner.email_normalized)

    def _prepare_sender_values(self, email_from=None):
        """Return the author and sender of an email, which are never a salesperson who has left.

        :param str email_from: the sender set by the mail template
        :return: arguments of `message_post`
        :rtype: dict
        """
        self.ensure_one()
        salesperson, company = self.user_id, self.company_id
        if salesperson and not salesperson.active and email_normalize(email_from) == salesperson.email_normalized:
            email_from = company.email_formatted
        author = salesperson.filtered("active").partner_id or company.partner_id
        return {"author_id": author.id, "email_from": email_from or None}
