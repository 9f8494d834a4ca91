import logging

from odoo import models

_logger = logging.getLogger(__name__)


class SaleOrder(models.Model):
    _inherit = "sale.order"

    def _send_subscription_mail(self, template_xml_id, record=None, partners=None):
        """Write to the customer of a subscription, and show it in the chatter.

        The mail is in the queue when this transaction is committed, and only then. What is wrong with it stops nothing
        else. An administrator who wants no such mail archives its template.

        :param str template_xml_id: external id of a `mail.template`
        :param record: what the template is about; without it, the subscription
        :param partners: to whom; without them, to whoever gets the invoices
        """
        self.ensure_one()
        # Whoever makes something happen to a subscription lets its customer be told.
        template = self.env.ref(template_xml_id, raise_if_not_found=False)
        template = template and template.sudo().filtered("active")
        if not template:
            return
        record = self if record is None else record
        # Whoever comes second in changing the subscription starts anew: that is no fault of the mail.
        self.env.flush_all()
        try:
            with self.env.cr.savepoint():
                rendered = template._generate_template(record.ids, ("subject", "body_html", "email_from"))[record.id]
                self.with_context(mail_notify_force_send=False).message_post(
                    subject=rendered["subject"],
                    body=rendered["body_html"],
                    author_id=(self.user_id.partner_id or self.company_id.partner_id).id,
                    email_from=rendered.get("email_from") or None,
                    partner_ids=(partners or self.partner_invoice_id or self.partner_id).ids,
                    message_type="comment",
                    subtype_xmlid="mail.mt_comment",
                    email_layout_xmlid="mail.mail_notification_layout",
                )
        except Exception as error:
            _logger.warning("The mail %s of subscription %s failed", template.name, self.name, exc_info=error)
            self._ask_for_attention(
                self.env._("Email not sent"),
                self.env._("The email %(template)s could not be made: %(error)s", template=template.name, error=error),
            )

    def _get_payment_method_url(self):
        """Return the address of the portal page where the customer changes the payment method.

        :rtype: str
        """
        self.ensure_one()
        return self.get_portal_url(suffix="/payment-method")
