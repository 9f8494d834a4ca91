from odoo.exceptions import AccessError
from odoo.tests import tagged

from .common import SubscriptionCommon

REPORTS = ("sale.subscription.movement", "sale.subscription.report")


@tagged("post_install", "-at_install")
class TestReportAccess(SubscriptionCommon):
    """Users who may see an order see it in every report, and nobody else does."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.elsewhere = cls.make_company("Elsewhere")
        cls.traveller = cls.make_user(
            "traveller", "sales_team.group_sale_salesman_all_leads", cls.company | cls.elsewhere
        )
        cls.selling_accountant = cls.make_user(
            "selling_accountant", "sales_team.group_sale_salesman,account.group_account_invoice"
        )
        cls.auditor = cls.make_user("auditor", "account.group_account_readonly")
        cls.mine = cls.subscription()
        cls.theirs = cls.subscription(user=cls.other_salesperson)
        cls.nobodys = cls.subscription()
        cls.nobodys.sudo().user_id = False
        cls.abroad = cls.subscription(user=cls.traveller, company=cls.elsewhere)
        cls.orders = cls.mine.sudo() | cls.theirs.sudo() | cls.nobodys.sudo() | cls.abroad.sudo()

    def seen(self, model, user, companies):
        """Return the orders that a user sees in a model, by `order_id` or as the orders themselves."""
        records = self.env[model].with_user(user).with_context(allowed_company_ids=companies.ids)
        if model == "sale.order":
            return records.search([("id", "in", self.orders.ids)]).sudo()
        return records.search([("order_id", "in", self.orders.ids)]).sudo().order_id

    def assertSees(self, user, orders, companies=None):
        orders = self.env["sale.order"].union(*orders).sudo()
        companies = companies or self.company
        self.assertEqual(self.seen("sale.order", user, companies), orders)
        for model in REPORTS:
            with self.subTest(model):
                self.assertEqual(self.seen(model, user, companies), orders)
        movements = self.env["sale.subscription.movement"].with_user(user)
        retention = movements.with_context(allowed_company_ids=companies.ids).get_retention(
            "mrr", domain=[("order_id", "in", self.orders.ids)]
        )
        self.assertEqual([row["started"] for row in retention["rows"]], [100.0 * len(orders)])

    def test_salesperson_sees_own_and_unassigned_documents(self):
        self.assertSees(self.salesperson, [self.mine, self.nobodys])
        self.assertSees(self.other_salesperson, [self.theirs, self.nobodys])

    def test_salesperson_with_all_documents_sees_all_of_the_company(self):
        self.assertSees(self.sales_lead, [self.mine, self.theirs, self.nobodys])
        self.assertSees(self.administrator, [self.mine, self.theirs, self.nobodys])

    def test_accountants_see_all_of_the_company(self):
        self.assertSees(self.accountant, [self.mine, self.theirs, self.nobodys])
        self.assertSees(self.auditor, [self.mine, self.theirs, self.nobodys])

    def test_accountant_who_sells_sees_own_documents_as_in_the_orders(self):
        self.assertSees(self.selling_accountant, [self.nobodys])

    def test_user_in_two_companies_sees_the_selected_ones(self):
        self.assertSees(self.traveller, [self.abroad], self.elsewhere)
        self.assertSees(self.traveller, self.orders, self.company | self.elsewhere)

    def test_others_see_no_report(self):
        employee = self.make_user("employee", "base.group_user")
        for user in (self.portal_user, employee, self.env.ref("base.public_user")):
            for model in REPORTS:
                with self.subTest(f"{user.login}: {model}"), self.assertRaises(AccessError):
                    self.env[model].with_user(user).search([])
            with self.subTest(user.login), self.assertRaises(AccessError):
                self.env["sale.subscription.movement"].with_user(user).get_retention()
