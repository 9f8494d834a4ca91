import io
import zipfile

from lxml import etree

from odoo.exceptions import UserError
from odoo.tests import tagged

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestRetention(SubscriptionCommon):
    """Reporting ‣ Retention; it is 31 January 2027, unless a test says otherwise."""

    def retention(self, measure="customers", at="2027-06-15", months=6, domain=None, user=None, company=None):
        """Return the retention by starting month: ``{"YYYY-MM": [started, retained at its end, …]}``."""
        movements = self.env["sale.subscription.movement"].with_user(user or self.sales_lead)
        if company:
            movements = movements.with_context(allowed_company_ids=company.ids)
        with self.on(at):
            retention = movements.get_retention(measure, months, domain)
        return {
            row["month"][:7]: [row["started"], *(cell["value"] for cell in row["cells"])] for row in retention["rows"]
        }

    def other_customer(self, name="Somebody Else"):
        return self.env["res.partner"].create({"name": name})

    def test_customers_who_stay_are_retained_each_month(self):
        self.subscription()
        self.subscription(partner_id=self.other_customer().id)
        self.assertEqual(self.retention(at="2027-03-15"), {"2027-01": [2, 2, 2, 2]})
        self.assertEqual(self.retention("mrr", at="2027-03-15"), {"2027-01": [200.0, 200.0, 200.0, 200.0]})

    def test_customer_who_left_is_gone_from_the_month_of_the_close(self):
        self.subscription(partner_id=self.other_customer().id)
        order = self.subscription()
        with self.on("2027-03-01"):
            order.subscription_close(self.reason.id)
        self.assertEqual(self.retention(at="2027-04-15"), {"2027-01": [2, 2, 2, 1, 1]})
        self.assertEqual(self.retention("mrr", at="2027-04-15"), {"2027-01": [200.0, 200.0, 200.0, 100.0, 100.0]})

    def test_last_and_first_day_of_a_month_are_of_different_months(self):
        self.subscription(start="2027-02-28")
        self.subscription(start="2027-03-01", partner_id=self.other_customer().id)
        self.assertEqual(self.retention(at="2027-03-15"), {"2027-02": [1, 1, 1], "2027-03": [1, 1]})

    def test_customer_who_returned_counts_again_in_the_row_of_the_start(self):
        order = self.subscription()
        with self.on("2027-02-10"):
            order.subscription_close(self.reason.id)
        with self.on("2027-04-10"):
            self.subscription(lines=[self.line(quantity=3)])
        self.assertEqual(self.retention(at="2027-05-15"), {"2027-01": [1, 1, 0, 0, 1, 1]})
        self.assertEqual(self.retention("mrr", at="2027-05-15"), {"2027-01": [100.0, 100.0, 0.0, 0.0, 300.0, 300.0]})

    def test_customer_who_left_in_the_month_of_the_start_had_started(self):
        with self.on("2027-03-05"):
            order = self.subscription()
        with self.on("2027-03-25"):
            order.subscription_close(self.reason.id)
        self.assertEqual(self.retention(at="2027-04-15"), {"2027-03": [1, 0, 0]})

    def test_two_orders_of_one_customer_are_one_customer(self):
        self.subscription()
        with self.on("2027-03-05"):
            second = self.subscription()
        self.assertEqual(self.retention(at="2027-03-15"), {"2027-01": [1, 1, 1, 1]})
        self.assertEqual(self.retention("mrr", at="2027-03-15"), {"2027-01": [100.0, 100.0, 100.0, 200.0]})
        with self.on("2027-04-05"):
            second.subscription_close(self.reason.id)
        self.assertEqual(self.retention(at="2027-04-15"), {"2027-01": [1, 1, 1, 1, 1]})

    def test_contacts_of_a_company_are_one_customer(self):
        company = self.env["res.partner"].create({"name": "Beans", "is_company": True})
        for name in ("Berta", "Bruno"):
            contact = self.env["res.partner"].create({"name": name, "parent_id": company.id})
            self.subscription(partner_id=contact.id)
        self.assertEqual(self.retention(at="2027-01-31"), {"2027-01": [1, 1]})

    def test_renewal_is_not_a_start(self):
        order = self.subscription()
        self.invoice(order)
        renewal = order._make_renewals()
        renewal.order_line.product_uom_qty = 2
        with self.on("2027-02-20"):
            renewal.action_confirm()
        self.assertEqual(order.subscription_state, "renewed")
        self.assertEqual(self.retention(at="2027-03-15"), {"2027-01": [1, 1, 1, 1]})
        self.assertEqual(self.retention("mrr", at="2027-03-15"), {"2027-01": [100.0, 100.0, 200.0, 200.0]})

    def test_paused_customer_counts_again_after_resuming(self):
        order = self.subscription()
        with self.on("2027-02-10"):
            order.subscription_pause()
        with self.on("2027-04-10"):
            order.subscription_resume()
        self.assertEqual(self.retention(at="2027-04-15"), {"2027-01": [1, 1, 0, 0, 1]})

    def test_future_subscription_has_not_started(self):
        self.subscription(start="2027-02-10")
        self.assertEqual(self.retention(at="2027-02-09"), {})
        self.assertEqual(self.retention(at="2027-02-10"), {"2027-02": [1, 1]})

    def test_cancelled_subscription_never_started(self):
        self.subscription().with_context(disable_cancel_warning=True).action_cancel()
        self.assertEqual(self.retention(at="2027-02-15"), {})

    def test_rows_begin_the_given_number_of_months_ago(self):
        self.subscription()
        self.assertEqual(self.retention(at="2027-03-01", months=3), {"2027-01": [1, 1, 1, 1]})
        self.assertEqual(self.retention(at="2027-03-01", months=2), {})

    def test_day_is_that_of_the_company(self):
        kiritimati = self.make_company("Kiritimati Company", tz="Pacific/Kiritimati")
        user = self.make_user("islander", "sales_team.group_sale_salesman_all_leads", kiritimati)
        with self.on("2027-01-31 11:00"):
            self.subscription(user=user, company=kiritimati)
        self.assertEqual(self.retention(at="2027-01-31 11:00", user=user, company=kiritimati), {"2027-02": [1, 1]})

    def test_all_months_together_count_only_those_that_are_old_enough(self):
        first = self.subscription()
        self.subscription(start="2027-02-10", partner_id=self.other_customer().id)
        with self.on("2027-02-20"):
            first.subscription_close(self.reason.id)
        with self.on("2027-03-15"):
            retention = self.env["sale.subscription.movement"].with_user(self.sales_lead).get_retention("customers", 6)
        total = [(cell["value"], cell["base"], cell["share"]) for cell in retention["total"]["cells"]]
        self.assertEqual(total, [(2, 2, 1.0), (1, 2, 0.5), (0, 1, 0.0)])
        self.assertEqual(retention["total"]["started"], 2)

    def test_only_movements_of_the_search_count(self):
        self.subscription()
        self.subscription(plan=self.yearly, partner_id=self.other_customer().id)
        domain = [("plan_id", "=", self.yearly.id)]
        self.assertEqual(self.retention(at="2027-01-31", domain=domain), {"2027-01": [1, 1]})
        domain = [("user_id", "=", self.other_salesperson.id)]
        self.assertEqual(self.retention(at="2027-01-31", domain=domain), {})

    def test_amounts_of_companies_with_other_currencies_are_converted(self):
        euro = self.env.ref("base.EUR")
        euro.active = True
        other = self.make_company("Euro Company")
        other.currency_id = euro
        self.env["res.currency.rate"].create(
            {"currency_id": euro.id, "company_id": self.company.id, "name": "2027-01-01", "rate": 0.5}
        )
        both = self.company | other
        lead = self.make_user("lead_of_both", "sales_team.group_sale_salesman_all_leads", both)
        self.subscription()
        self.subscription(user=lead, company=other, partner_id=self.other_customer().id)
        movements = self.env["sale.subscription.movement"].with_user(lead).with_context(allowed_company_ids=both.ids)
        retention = movements.get_retention("mrr")
        self.assertEqual([row["started"] for row in retention["rows"]], [300.0])
        self.assertEqual(retention["currency_id"], self.company.currency_id.id)

    def test_invalid_measure_or_number_of_months_is_refused(self):
        movements = self.env["sale.subscription.movement"]
        for arguments in (("revenue", 12), ("mrr", 0), ("mrr", 61), ("mrr", "12"), (None, 12)):
            with self.subTest(arguments), self.assertRaises(UserError):
                movements.get_retention(*arguments)

    def test_any_number_of_months_takes_one_query(self):
        self.subscription()
        movements = self.env["sale.subscription.movement"].with_user(self.salesperson)
        movements.get_retention("mrr", 6)
        self.env.flush_all()
        with self.assertQueryCount(4):
            movements.get_retention("mrr", 6)
            movements.get_retention("mrr", 36)

    def test_workbook_has_shares_and_values(self):
        self.subscription(partner_id=self.other_customer().id)
        order = self.subscription()
        with self.on("2027-02-20"):
            order.subscription_close(self.reason.id)
        with self.on("2027-02-28"):
            movements = self.env["sale.subscription.movement"].with_user(self.sales_lead)
            content = movements._get_retention_xlsx("customers", 6)
        sheets = self._read_workbook(content)
        self.assertEqual(sheets, [[2, 1, 0.5, 2, 1, 0.5], [2, 2, 1, 2, 2, 1]])

    def _read_workbook(self, content):
        """Return the numbers of each sheet below the headers, row by row."""
        sheets = []
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for number in (1, 2):
                tree = etree.fromstring(archive.read(f"xl/worksheets/sheet{number}.xml"))
                cells = [cell for row in tree.findall(".//{*}row")[1:] for cell in row]
                sheets.append([float(cell.findtext("{*}v")) for cell in cells if cell.get("t") != "s"])
        return sheets
