import json

from odoo.exceptions import AccessError, UserError
from odoo.fields import Command
from odoo.tests import HttpCase, tagged
from odoo.tools import mute_logger

from .common import SubscriptionCommon

PUBLIC_METHODS = (
    ("action_subscription_close", ()),
    ("action_subscription_pause", ()),
    ("subscription_close", (1,)),
    ("subscription_keep", ()),
    ("subscription_pause", ()),
    ("subscription_reopen", ()),
    ("subscription_resume", ()),
)


@tagged("post_install", "-at_install")
class TestOwnDocuments(SubscriptionCommon):
    """A salesperson limited to own documents has no access to those of colleagues."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.theirs = cls.subscription()
        cls.invoice(cls.theirs)
        cls.mine = cls.theirs.with_user(cls.other_salesperson)

    def assertUntouched(self):
        self.env.invalidate_all()
        self.assertEqual((self.theirs.subscription_state, self.theirs.is_closing), ("progress", False))

    def test_order_of_a_colleague_cannot_be_read(self):
        with self.assertRaises(AccessError):
            self.mine.read(["subscription_state", "next_invoice_date"])

    def test_order_of_a_colleague_is_not_in_the_list(self):
        orders = self.env["sale.order"].with_user(self.other_salesperson)
        self.assertFalse(orders.search([("subscription_state", "=", "progress"), ("id", "=", self.theirs.id)]))

    def test_billed_period_of_a_colleague_cannot_be_read(self):
        period = self.theirs.period_ids.with_user(self.other_salesperson)
        with self.assertRaises(AccessError):
            period.read(["date_start"])
        self.assertFalse(period.search([("order_id", "=", self.theirs.id)]))

    def test_no_public_method_works_on_the_order_of_a_colleague(self):
        for name, arguments in PUBLIC_METHODS:
            with self.subTest(name), self.assertRaises(UserError if name == "subscription_reopen" else AccessError):
                getattr(self.mine, name)(*arguments)
        self.assertUntouched()

    def test_order_of_a_colleague_cannot_be_closed(self):
        with self.assertRaises(AccessError):
            self.mine.subscription_close(self.reason.id)
        self.assertUntouched()

    def test_order_of_a_colleague_cannot_be_closed_along_with_an_own_one(self):
        own = self.subscription(user=self.other_salesperson)
        with self.assertRaises(AccessError):
            (own | self.mine).subscription_close(self.reason.id)
        self.assertEqual(own.subscription_state, "progress")

    def test_order_of_a_colleague_cannot_be_closed_through_the_pop_up(self):
        wizards = self.env["sale.subscription.close.wizard"].with_user(self.other_salesperson)
        with self.assertRaises(AccessError):
            wizards.create({"order_ids": [Command.set(self.theirs.ids)], "reason_id": self.reason.id}).action_submit()
        self.assertUntouched()

    def test_order_of_a_colleague_cannot_be_paused_through_the_pop_up(self):
        wizards = self.env["sale.subscription.pause.wizard"].with_user(self.other_salesperson)
        with self.assertRaises(AccessError):
            wizards.create({"order_ids": [Command.set(self.theirs.ids)]}).action_submit()
        self.assertUntouched()

    def test_order_of_a_colleague_cannot_be_closed_by_writing_to_it(self):
        with self.assertRaises(AccessError):
            self.mine.write({"end_date": "2027-01-31"})
        self.assertUntouched()

    def test_pop_up_of_a_colleague_cannot_be_submitted(self):
        wizards = self.env["sale.subscription.close.wizard"].with_user(self.salesperson)
        wizard = wizards.create({"order_ids": [Command.set(self.theirs.ids)], "reason_id": self.reason.id})
        with self.assertRaises(AccessError):
            wizard.with_user(self.other_salesperson).action_submit()
        self.assertUntouched()

    def test_salesperson_with_all_documents_closes_the_order_of_a_colleague(self):
        self.theirs.with_user(self.sales_lead).subscription_close(self.reason.id)
        self.assertEqual(self.theirs.subscription_state, "churned")

    def test_salesperson_cannot_write_billed_periods(self):
        with self.assertRaises(AccessError):
            self.theirs.period_ids.date_end = "2028-01-31"
        with self.assertRaises(AccessError):
            self.theirs.period_ids.unlink()

    def test_accountant_reads_but_cannot_write_billed_periods(self):
        period = self.theirs.period_ids.with_user(self.accountant)
        self.assertEqual(str(period.date_start), "2027-01-31")
        with self.assertRaises(AccessError):
            period.state = "cancelled"


@tagged("post_install", "-at_install")
class TestCompanies(SubscriptionCommon):
    """Company A has no access to the records of company B."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.kiritimati = cls.make_company("Kiritimati Company", tz="Pacific/Kiritimati")
        cls.pago_pago = cls.make_company("Pago Pago Company", tz="Pacific/Pago_Pago")
        cls.both = cls.kiritimati | cls.pago_pago
        cls.traveller = cls.make_user("traveller", "sales_team.group_sale_salesman_all_leads", cls.both)

    def order_in(self, company, **values):
        return self.subscription(user=self.traveller, company=company, **values)

    def in_both(self, orders):
        """Return orders in an environment with both companies selected."""
        return orders.with_context(allowed_company_ids=self.both.ids)

    def test_orders_of_another_company_are_not_seen(self):
        order = self.order_in(self.kiritimati)
        with self.assertRaises(AccessError):
            order.with_user(self.administrator).with_context(allowed_company_ids=self.company.ids).read(["plan_id"])

    def test_orders_of_another_company_are_not_closed(self):
        order = self.order_in(self.kiritimati).with_user(self.administrator)
        with self.assertRaises(AccessError):
            order.with_context(allowed_company_ids=self.company.ids).subscription_close(self.reason.id)
        self.assertEqual(order.sudo().subscription_state, "progress")

    def test_plan_of_another_company_is_not_seen(self):
        plan = self.env["sale.subscription.plan"].create({"name": "Theirs", "company_id": self.kiritimati.id})
        self.assertFalse(plan.with_user(self.administrator).search([("id", "=", plan.id)]))
        with self.assertRaises(AccessError):
            plan.with_user(self.administrator).read(["name"])

    def test_plan_of_all_companies_is_seen_in_each(self):
        self.assertEqual(self.order_in(self.kiritimati).plan_id, self.order_in(self.pago_pago).plan_id)

    def test_billed_period_of_another_company_is_not_seen(self):
        order = self.order_in(self.kiritimati).sudo()
        self.env["sale.subscription.period"].create(
            {"order_id": order.id, "date_start": "2027-02-01", "date_end": "2027-03-01"}
        )
        for user in (self.administrator, self.accountant):
            periods = self.env["sale.subscription.period"].with_user(user)
            with self.subTest(user.name):
                self.assertFalse(periods.search([("order_id", "=", order.id)]))
                with self.assertRaises(AccessError):
                    periods.browse(order.period_ids.ids).read(["date_start"])

    def test_each_company_has_its_own_today(self):
        # 10:30 UTC on 1 February is already 2 February in Kiritimati and still 31 January in Pago Pago.
        with self.on("2027-02-01 10:30"):
            orders = self.in_both(self.order_in(self.kiritimati) | self.order_in(self.pago_pago))
        self.assertEqual([str(order.start_date) for order in orders], ["2027-02-02", "2027-01-31"])

    def test_orders_of_two_companies_close_each_on_its_own_day(self):
        orders = self.in_both(self.order_in(self.kiritimati) | self.order_in(self.pago_pago))
        with self.on("2027-02-01 10:30"):
            orders.subscription_close(self.reason.id)
        self.assertEqual([str(order.closed_on) for order in orders], ["2027-02-02", "2027-01-31"])
        self.assertEqual([str(order.end_date) for order in orders], ["2027-02-02", "2027-01-31"])

    def test_date_in_the_past_in_one_of_two_companies_closes_none(self):
        orders = self.in_both(self.order_in(self.kiritimati) | self.order_in(self.pago_pago))
        with self.on("2027-02-01 10:30"), self.assertRefused("is in the past"):
            orders.subscription_close(self.reason.id, when="date", date="2027-02-01")
        self.assertEqual(orders.mapped("is_closing"), [False, False])

    def test_scheduled_action_closes_each_company_on_its_own_day(self):
        orders = self.in_both(self.order_in(self.kiritimati) | self.order_in(self.pago_pago))
        orders.subscription_close(self.reason.id, when="date", date="2027-02-28")
        self.expire(until="2027-02-27 10:30")
        self.assertEqual(orders.mapped("subscription_state"), ["churned", "progress"])
        self.expire(until="2027-02-28 11:30")
        self.assertEqual(orders.mapped("subscription_state"), ["churned", "churned"])

    def test_order_of_the_other_selected_company_stays_in_its_company(self):
        order = self.in_both(self.quotation(user=self.traveller, company=self.pago_pago))
        order.with_company(self.kiritimati).action_confirm()
        self.assertEqual((order.company_id, order.subscription_state), (self.pago_pago, "progress"))


@tagged("post_install", "-at_install")
class TestPortalUser(SubscriptionCommon):
    """Customers use the portal pages and cannot call the methods."""

    def assertNoMethodWorks(self, order):
        for name, arguments in PUBLIC_METHODS:
            # Reopening checks for the administrator before the access to the order.
            refusal = UserError if name == "subscription_reopen" else AccessError
            with self.subTest(name), self.assertRaises(refusal):
                getattr(order.with_user(self.portal_user), name)(*arguments)

    def test_no_public_method_works_on_ones_own_order(self):
        for order in (self.subscription(), self.paused_subscription(), self.churned_subscription()):
            with self.subTest(order.subscription_state):
                self.assertEqual(order.with_user(self.portal_user).partner_id, self.customer)
                self.assertNoMethodWorks(order)

    def test_no_public_method_works_on_the_order_of_another_customer(self):
        somebody = self.env["res.partner"].create({"name": "Somebody Else"})
        self.assertNoMethodWorks(self.subscription(partner_id=somebody.id))

    def test_customer_cannot_close_by_writing(self):
        order = self.subscription().with_user(self.portal_user)
        with self.assertRaises(AccessError):
            order.write({"end_date": "2027-01-31"})

    def test_customer_has_no_pop_up(self):
        order = self.subscription()
        for name in ("sale.subscription.close.wizard", "sale.subscription.pause.wizard"):
            with self.subTest(name), self.assertRaises(AccessError):
                self.env[name].with_user(self.portal_user).create({"order_ids": [Command.set(order.ids)]})

    def test_customer_cannot_read_plans_or_periods(self):
        order = self.subscription()
        self.invoice(order)
        for records in (order.plan_id, order.period_ids):
            with self.subTest(records), self.assertRaises(AccessError):
                records.with_user(self.portal_user).read(["display_name"])


@tagged("post_install", "-at_install")
class TestExternalApi(SubscriptionCommon, HttpCase):
    """The public methods over JSON-2, with an API key."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.headers = {user: cls.make_headers(user) for user in (cls.salesperson, cls.other_salesperson)}

    @classmethod
    def make_headers(cls, user):
        # No expiry: the database would compare it with the real date.
        key = user.with_user(user).env["res.users.apikeys"].sudo()._generate("rpc", "test", None)
        return {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def call(self, order, method="subscription_close", user=None, **arguments):
        response = self.url_open(
            f"/json/2/sale.order/{method}",
            data=json.dumps({"ids": order.ids, **arguments}),
            headers=self.headers[user or self.salesperson],
        )
        self.env.invalidate_all()
        return response.status_code, response.json()

    def assertCallRefused(self, answer, status, words):
        self.assertEqual(answer[0], status, answer)
        self.assertRegex(answer[1]["message"], words)

    def test_close_answers_true(self):
        order = self.subscription()
        self.assertEqual(self.call(order, reason_id=self.reason.id), (200, True))
        self.assertEqual((order.subscription_state, order.close_reason_id), ("churned", self.reason))

    def test_close_on_a_date_takes_it_as_text(self):
        order = self.subscription()
        answer = self.call(order, reason_id=self.reason.id, when="date", date="2027-06-15")
        self.assertEqual(answer, (200, True))
        self.assertDates(order, end_date="2027-06-15", closed_on=False)

    def test_planned_close_is_kept(self):
        order = self.subscription()
        order.subscription_close(self.reason.id, when="date", date="2027-06-15")
        self.assertEqual(self.call(order, "subscription_keep"), (200, True))
        self.assertFalse(order.is_closing)

    def test_pause_and_resume_answer_true(self):
        order = self.subscription()
        self.assertEqual(self.call(order, "subscription_pause", resume_date="2027-03-10"), (200, True))
        self.assertEqual(order.subscription_state, "paused")
        self.assertEqual(self.call(order, "subscription_resume"), (200, True))
        self.assertEqual(order.subscription_state, "progress")

    def test_button_answers_with_an_action(self):
        order = self.subscription()
        status, action = self.call(order, "action_subscription_close")
        self.assertEqual((status, action["res_model"]), (200, "sale.subscription.close.wizard"))
        self.assertEqual(action["context"], {"default_order_ids": order.ids})

    @mute_logger("odoo.http")
    def test_bad_reason_is_refused_with_the_message(self):
        order = self.subscription()
        for reason_id in (self.archived_reason.id, 0, None, "Moves abroad", [1, 2]):
            with self.subTest(reason_id):
                self.assertCallRefused(
                    self.call(order, reason_id=reason_id), 422, "Choose a close reason from the list"
                )
        self.assertEqual(order.subscription_state, "progress")

    @mute_logger("odoo.http")
    def test_missing_reason_is_refused(self):
        self.assertCallRefused(self.call(self.subscription()), 422, "reason_id")

    @mute_logger("odoo.http")
    def test_bad_date_is_refused_with_the_message(self):
        order = self.subscription()
        for date, words in (("2027-01-30", "is in the past"), ("soon", "Enter the date"), (5, "Enter the date")):
            with self.subTest(date):
                answer = self.call(order, reason_id=self.reason.id, when="date", date=date)
                self.assertCallRefused(answer, 422, words)

    @mute_logger("odoo.http")
    def test_closing_twice_is_refused_with_the_message(self):
        order = self.churned_subscription()
        self.assertCallRefused(self.call(order, reason_id=self.reason.id), 422, "has been closed since")

    @mute_logger("odoo.http")
    def test_order_of_a_colleague_is_refused(self):
        order = self.subscription()
        answer = self.call(order, user=self.other_salesperson, reason_id=self.reason.id)
        self.assertEqual(answer[0], 403, answer)
        self.assertEqual(order.subscription_state, "progress")

    @mute_logger("odoo.http")
    def test_reopening_is_refused_to_a_salesperson_with_the_message(self):
        order = self.churned_subscription()
        self.assertCallRefused(self.call(order, "subscription_reopen"), 422, "Only an administrator of Sales")

    @mute_logger("odoo.http")
    def test_status_cannot_be_written_with_a_context(self):
        order = self.subscription()
        for context in ({"subscription_transition": True}, {"subscription_transition": {}}):
            answer = self.call(order, "write", vals={"subscription_state": "churned"}, context=context)
            self.assertCallRefused(answer, 422, "cannot be set manually")
        self.assertEqual(order.subscription_state, "progress")
