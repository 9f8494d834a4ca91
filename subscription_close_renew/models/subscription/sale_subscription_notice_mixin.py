from odoo import fields, models

LOST_STATUSES = ("bounce", "exception", "canceled")
# Failures that will happen again until the address of the contact changes.
ADDRESS_FAILURES = ("mail_bounce", "mail_email_invalid", "mail_email_missing")


class SaleSubscriptionNoticeMixin(models.AbstractModel):
    """A record with a consequence that must wait until a notice has reached the customer."""

    _name = "sale.subscription.notice.mixin"
    _description = "Notice to the Customer of a Subscription"

    # Only the addon's own code reads and writes these fields, in sudo mode.
    subscription_notice_id = fields.Many2one(
        comodel_name="mail.message",
        string="Notice",
        copy=False,
        groups=fields.NO_ACCESS,
        index="btree_not_null",
        ondelete="set null",
    )
    subscription_notice_email = fields.Char(
        string="Notice Sent To",
        copy=False,
        groups=fields.NO_ACCESS,
    )

    def _is_notice_lost(self):
        """Return whether the notice was sent but reached nobody.

        :rtype: bool
        """
        self.ensure_one()
        statuses = self._get_notice_receipts().mapped("notification_status")
        return bool(statuses) and set(statuses) <= set(LOST_STATUSES)

    def _is_notice_address_bad(self, emails):
        """Return whether the notice could not reach these addresses, so that others are needed.

        :param list emails: the addresses it would be sent to now
        :rtype: bool
        """
        self.ensure_one()
        # sudo: only code reads the notice fields.
        if not self._is_notice_lost() or self.sudo().subscription_notice_email != ", ".join(emails):
            return False
        receipts = self._get_notice_receipts()
        return all(
            receipt.notification_status == "bounce" or receipt.failure_type in ADDRESS_FAILURES for receipt in receipts
        )

    def _get_notice_receipts(self):
        """Return the delivery statuses of the notice, in sudo mode; empty if they have been deleted.

        :rtype: mail.notification
        """
        self.ensure_one()
        # sudo: only code can read the notice; the delivery status of an email is not confidential.
        message = self.sudo().subscription_notice_id
        return message.notification_ids.filtered(lambda receipt: receipt.res_partner_id in message.partner_ids)
