from unittest.mock import patch

from odoo.fields import Command
from odoo.tests import tagged

from .test_term import TermCommon


class NoticeCommon(TermCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.monthly.auto_close_days = 10

    def unpaid(self, **values):
        """Return a subscription that closes on 10 February for an unpaid invoice of 31 January; warning on the 7th."""
        order = self.subscription(**values)
        self.bill()
        return order

    def warnings(self, order):
        return [mail for mail in self.mails(order) if "about to close" in (mail.subject or "")]

    def deliver(self, mail, status, failure_type=False):
        """Set the delivery status of a mail to the customer, which Odoo learns later."""
        receipts = mail.sudo().notification_ids.filtered(lambda receipt: receipt.res_partner_id == self.customer)
        receipts.write({"notification_status": status, "failure_type": failure_type})

    def expire_each(self, *days):
        for day in days:
            self.expire(until=day)

    def assertAsksToCall(self, order, words):
        [activity] = order.sudo().activity_ids
        self.assertEqual((activity.summary, activity.user_id), ("Customer not reached", self.salesperson))
        self.assertIn(words, activity.note)


@tagged("post_install", "-at_install")
class TestClosingNotice(NoticeCommon):
    """P15: an unpaid subscription does not close before somebody could have read the warning."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.made_once("unpaid")

    def test_customer_without_an_address_is_not_closed(self):
        self.customer.email = False
        order = self.unpaid()
        self.expire_each("2027-02-07", "2027-02-10", "2027-03-10")
        self.assertEqual(order.subscription_state, "progress")
        self.assertAsksToCall(order, "has no valid email address")

    def test_customer_with_an_invalid_address_is_not_closed(self):
        self.customer.email = "call me"
        order = self.unpaid()
        self.expire_each("2027-02-07", "2027-02-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_archived_customer_is_not_closed(self):
        order = self.order
        self.portal_user.active = False
        self.customer.active = False
        self.expire_each("2027-02-07", "2027-02-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_chatter_does_not_claim_that_the_customer_was_notified(self):
        self.customer.email = False
        order = self.unpaid()
        self.expire("2027-02-07")
        self.assertNotIn("was notified", self.chatter(order))

    def test_address_entered_later_gets_the_warning_and_its_full_notice(self):
        self.customer.email = False
        order = self.unpaid()
        self.expire_each("2027-02-07", "2027-03-01")
        self.customer.email = "late@subscription.example.com"
        self.expire("2027-03-02")
        self.assertIn("03/05/2027", self.warnings(order)[0].body)
        self.expire("2027-03-04")
        self.assertEqual(order.subscription_state, "progress")
        self.expire("2027-03-05")
        self.assertEqual(order.subscription_state, "churned")

    def test_customer_gets_the_warning_when_the_invoice_contact_has_no_address(self):
        contact = self.env["res.partner"].create({"name": "Books", "parent_id": self.customer.id, "type": "invoice"})
        order = self.unpaid(partner_invoice_id=contact.id)
        self.expire_each("2027-02-07", "2027-02-10")
        self.assertEqual((len(self.warnings(order)), order.subscription_state), (1, "churned"))

    def test_archived_template_closes_nothing(self):
        self.env.ref("subscription_close_renew.mail_template_about_to_close").active = False
        order = self.unpaid()
        self.expire_each("2027-02-07", "2027-02-10")
        self.assertEqual(order.subscription_state, "progress")
        self.assertAsksToCall(order, "Restore the template")

    def test_undelivered_warning_closes_nothing(self):
        for status in ("bounce", "exception", "canceled"):
            with self.subTest(status):
                order = self.unpaid()
                self.expire("2027-02-07")
                self.deliver(self.warnings(order)[0], status)
                self.expire("2027-02-10")
                self.assertEqual(order.subscription_state, "progress")

    def test_bounced_warning_is_not_sent_to_the_same_address_again(self):
        order = self.order
        self.expire("2027-02-07")
        self.deliver(self.warnings(order)[0], "bounce", "mail_bounce")
        self.expire_each("2027-02-08", "2027-02-10", "2027-02-20")
        self.assertEqual((len(self.warnings(order)), order.subscription_state), (1, "progress"))
        self.assertAsksToCall(order, "did not reach customer@subscription.example.com")

    def test_bounced_warning_is_sent_to_a_new_address(self):
        order = self.order
        self.expire("2027-02-07")
        self.deliver(self.warnings(order)[0], "bounce", "mail_bounce")
        self.expire("2027-02-08")
        self.customer.email = "better@subscription.example.com"
        self.expire_each("2027-02-09", "2027-02-11")
        self.assertEqual((len(self.warnings(order)), order.subscription_state), (2, "progress"))
        self.expire("2027-02-12")
        self.assertEqual(order.subscription_state, "churned")

    def test_warning_refused_by_the_mail_server_is_sent_again(self):
        order = self.order
        self.expire("2027-02-07")
        self.deliver(self.warnings(order)[0], "exception", "mail_smtp")
        self.expire_each("2027-02-10", "2027-02-12")
        self.assertEqual((len(self.warnings(order)), order.subscription_state), (2, "progress"))
        self.expire("2027-02-13")
        self.assertEqual(order.subscription_state, "churned")

    def test_warning_that_reached_the_customer_counts_even_if_a_copy_did_not(self):
        order = self.order
        order.sudo().message_subscribe(self.sales_lead.partner_id.ids)
        self.expire("2027-02-07")
        receipts = self.warnings(order)[0].sudo().notification_ids
        receipts.filtered(lambda receipt: receipt.res_partner_id != self.customer).notification_status = "bounce"
        self.expire("2027-02-10")
        self.assertEqual(order.subscription_state, "churned")

    def test_copy_for_a_colleague_does_not_count_for_the_customer(self):
        order = self.order
        order.sudo().message_subscribe(self.sales_lead.partner_id.ids)
        self.expire("2027-02-07")
        self.deliver(self.warnings(order)[0], "bounce", "mail_bounce")
        self.expire("2027-02-10")
        self.assertEqual(order.subscription_state, "progress")

    def test_customer_who_is_the_salesperson_is_notified_too(self):
        order = self.unpaid(partner_id=self.salesperson.partner_id.id)
        self.expire_each("2027-02-07", "2027-02-10")
        self.assertEqual(order.subscription_state, "churned")

    def test_failing_template_closes_nothing(self):
        order = self.order
        template = type(self.env["mail.template"])
        with patch.object(template, "_generate_template", side_effect=ValueError("Out of ink")), self.assertLogs():
            self.expire_each("2027-02-07", "2027-02-10")
        self.assertEqual(order.subscription_state, "progress")


@tagged("post_install", "-at_install")
class TestRenewalNotice(NoticeCommon):
    """P15: a subscription is not renewed automatically before somebody could have read the notice."""

    def test_customer_without_an_address_is_not_renewed(self):
        self.customer.email = False
        order = self.termed()
        self.nightly("2027-02-14", "2027-02-28", "2027-03-31")
        self.assertEqual((order.subscription_state, order.auto_renew_on), ("progress", False))
        self.assertAsksToCall(order, "has no valid email address")

    def test_quotation_of_the_salesperson_stays_a_draft_until_the_customer_is_notified(self):
        self.customer.email = False
        order = self.termed()
        renewal = self.renewal(order)
        self.nightly("2027-02-14")
        self.assertEqual(renewal.state, "draft")

    def test_address_entered_later_gets_the_full_notice(self):
        self.customer.email = False
        order = self.termed()
        self.nightly("2027-02-14", "2027-03-01")
        self.customer.email = "late@subscription.example.com"
        self.nightly("2027-03-02")
        self.assertDates(order, auto_renew_on="2027-03-16")
        self.nightly("2027-03-15")
        self.assertEqual(order.subscription_state, "progress")
        self.nightly("2027-03-16")
        self.assertEqual(order.subscription_state, "renewed")
        self.assertChainTiled(order, until="2027-03-31")

    def test_archived_template_renews_nothing(self):
        self.env.ref("subscription_close_renew.mail_template_renewal_notice").active = False
        order = self.termed()
        self.nightly("2027-02-14", "2027-02-28")
        self.assertEqual(order.subscription_state, "progress")
        self.assertAsksToCall(order, "Restore the template")

    def test_undelivered_notice_renews_nothing(self):
        for status in ("bounce", "exception", "canceled"):
            with self.subTest(status):
                order = self.termed()
                self.nightly("2027-02-14")
                self.deliver(self.notices(order)[0], status)
                self.nightly("2027-02-28")
                self.assertEqual(order.subscription_state, "progress")

    def test_bounced_notice_is_sent_to_a_new_address(self):
        order = self.termed()
        self.nightly("2027-02-14")
        self.deliver(self.notices(order)[0], "bounce", "mail_bounce")
        self.nightly("2027-02-15", "2027-02-20")
        self.assertEqual(len(self.notices(order)), 1)
        self.assertAsksToCall(order, "did not reach customer@subscription.example.com")
        self.customer.email = "better@subscription.example.com"
        self.nightly("2027-02-21")
        self.assertDates(order, auto_renew_on="2027-03-07")
        self.nightly("2027-03-07")
        self.assertEqual((order.subscription_state, len(self.notices(order))), ("renewed", 2))

    def test_customer_who_was_not_notified_stops_no_other(self):
        nobody = self.env["res.partner"].create({"name": "Nobody"})
        silent, told = self.termed(partner_id=nobody.id), self.termed()
        self.nightly("2027-02-14", "2027-02-28")
        self.assertEqual([order.subscription_state for order in (silent, told)], ["progress", "renewed"])


@tagged("post_install", "-at_install")
class TestAttention(NoticeCommon):
    """P15: activities go to an active colleague, and no mail is sent in the name of a user who has left."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()

    def ask(self, order):
        """Ask for attention on an order, and return the user of the activity."""
        order.sudo()._ask_for_attention("Out of beans", "Buy some")
        return order.sudo().activity_ids.user_id

    def team_led_by(self, user):
        return self.env["crm.team"].create({"name": "Team", "user_id": user.id, "company_id": self.company.id})

    def test_salesperson_comes_first(self):
        self.assertEqual(self.ask(self.order), self.salesperson)

    def test_team_leader_replaces_a_salesperson_who_has_left(self):
        order = self.order
        order.sudo().team_id = self.team_led_by(self.sales_lead)
        self.salesperson.active = False
        self.assertEqual(self.ask(order), self.sales_lead)

    def test_company_responsible_replaces_a_leader_who_may_not_see_the_order(self):
        order = self.order
        order.sudo().team_id = self.team_led_by(self.other_salesperson)
        self.company.subscription_responsible_id = self.accountant
        self.salesperson.active = False
        self.assertEqual(self.ask(order), self.accountant)

    def test_administrator_comes_last(self):
        order = self.order
        self.salesperson.active = False
        self.assertEqual(self.ask(order), self.administrator)

    def test_another_colleague_comes_when_there_is_no_administrator(self):
        order = self.order
        (self.salesperson | self.administrator).active = False
        self.assertEqual(self.ask(order), self.sales_lead)

    def test_salesperson_who_moved_to_another_company_is_skipped(self):
        order = self.order
        other = self.make_company("Other Company")
        self.salesperson.write({"company_id": other.id, "company_ids": [Command.set(other.ids)]})
        self.assertEqual(self.ask(order), self.administrator)

    def test_shop_order_is_not_assigned_to_odoobot(self):
        order = self.order
        order.sudo().user_id = False
        order.sudo().team_id = False
        self.assertEqual(self.ask(order), self.administrator)

    def test_odoobot_and_portal_users_are_skipped(self):
        for user in (self.env.ref("base.user_root"), self.portal_user):
            with self.subTest(user.name):
                order = self.subscription()
                order.sudo().user_id = user
                self.assertEqual(self.ask(order), self.administrator)

    def test_activity_is_assigned_once(self):
        order = self.order
        self.ask(order)
        self.ask(order)
        self.assertEqual(len(order.activity_ids), 1)

    def test_activity_of_a_user_who_has_left_is_reassigned(self):
        for archive in (lambda user: user.action_archive(), lambda user: user.write({"active": False})):
            order = self.subscription()
            self.ask(order)
            archive(self.salesperson)
            activity = order.sudo().activity_ids
            self.assertEqual((activity.user_id, activity.summary), (self.administrator, "Out of beans"))
            self.salesperson.action_unarchive()

    def test_activity_that_nobody_can_see_does_not_count(self):
        order = self.order
        self.ask(order)
        self.env.cr.execute("UPDATE res_users SET active = false WHERE id = %s", [self.salesperson.id])
        self.env.invalidate_all()
        self.assertEqual(self.ask(order), self.administrator)

    def test_mail_goes_out_in_the_name_of_the_company_once_the_salesperson_has_left(self):
        self.company.email = "company@subscription.example.com"
        order = self.unpaid()
        self.salesperson.active = False
        self.expire("2027-02-07")
        [warning] = self.warnings(order)
        self.assertEqual(warning.author_id, self.company.partner_id)
        self.assertIn("company@subscription.example.com", warning.email_from)

    def test_template_does_not_name_a_salesperson_who_has_left(self):
        self.company.email = "company@subscription.example.com"
        template = self.env.ref("subscription_close_renew.mail_template_about_to_close")
        template.email_from = "{{ object.order_id.user_id.email_formatted }}"
        order = self.unpaid()
        self.salesperson.active = False
        self.expire("2027-02-07")
        self.assertIn("company@subscription.example.com", self.warnings(order)[0].email_from)

    def test_invoice_is_mailed_in_the_name_of_the_company_once_the_salesperson_has_left(self):
        self.company.email = "company@subscription.example.com"
        for template in ("subscription_close_renew.mail_template_invoice", "account.email_template_edi_invoice"):
            with self.subTest(template):
                self.monthly.invoice_mail_template_id = self.env.ref(template)
                order = self.subscription()
                self.salesperson.active = False
                self.bill()
                self.run_scheduled_action("account.ir_cron_account_move_send")
                [mail] = self.mails(self.invoices(order))
                self.assertIn("company@subscription.example.com", mail.email_from)
                self.salesperson.active = True

    def test_undeliverable_invoice_asks_to_call_the_customer(self):
        self.monthly.invoice_mail_template_id = self.env.ref("subscription_close_renew.mail_template_invoice")
        self.customer.email = False
        self.assertAsksToCall(self.unpaid(), "Subscription: Invoice")
