from datetime import date, timedelta

from odoo.tests import tagged

from .common import SubscriptionCommon


def days(first, last):
    """Return all days from one to another, as ``YYYY-MM-DD``."""
    day, last = date.fromisoformat(first), date.fromisoformat(last)
    while day <= last:
        yield day.isoformat()
        day += timedelta(days=1)


MONTH_ENDS = [
    "2027-01-31",
    "2027-02-28",
    "2027-03-31",
    "2027-04-30",
    "2027-05-31",
    "2027-06-30",
    "2027-07-31",
    "2027-08-31",
    "2027-09-30",
    "2027-10-31",
    "2027-11-30",
    "2027-12-31",
]


@tagged("post_install", "-at_install")
class TestBillingClock(SubscriptionCommon):
    """P4, P6: the scheduled action throughout the year, around the world, and after a downtime."""

    def starts(self, order):
        return [start for start, _end in self.billed_periods(order)]

    def assertTiles(self, order, first, following):
        """Assert that the billed periods skip no day and bill none twice."""
        periods = self.billed_periods(order)
        self.assertEqual([start for start, _end in periods], [first, *(end for _start, end in periods[:-1])])
        self.assertEqual(periods[-1][1], following)

    # Through the year

    def test_subscription_of_the_31st_is_invoiced_on_each_month_end_of_a_year(self):
        order = self.subscription()
        for month_end in MONTH_ENDS:
            self.bill(month_end)
            self.assertDates(self.invoices(order)[-1], invoice_date=month_end)
        self.assertEqual(self.starts(order), MONTH_ENDS)
        self.assertDates(order, next_invoice_date="2028-01-31")

    def test_run_every_day_invoices_on_month_ends_only(self):
        order = self.subscription()
        for day in days("2027-01-31", "2027-04-30"):
            self.bill(day)
        self.assertEqual(
            [str(invoice.invoice_date) for invoice in self.invoices(order)],
            ["2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"],
        )
        self.assertTiles(order, "2027-01-31", "2027-05-31")

    def test_subscription_of_the_30th_returns_to_it_after_february(self):
        order = self.subscription(start="2027-01-30")
        for day in ("2027-01-30", "2027-02-28", "2027-03-29", "2027-03-30"):
            self.bill(day)
        self.assertEqual(self.starts(order), ["2027-01-30", "2027-02-28", "2027-03-30"])

    def test_yearly_subscription_of_a_leap_day_returns_to_it(self):
        order = self.subscription(plan=self.yearly, start="2028-02-29")
        for day in ("2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-28", "2032-02-29"):
            self.bill(day)
        self.assertEqual(self.starts(order), ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"])

    def test_late_run_moves_no_later_date(self):
        order = self.subscription()
        self.bill("2027-02-05")
        self.bill("2027-03-04")
        self.bill("2027-03-31")
        self.assertEqual(self.starts(order), ["2027-01-31", "2027-02-28", "2027-03-31"])

    # Around the world

    def subscription_in(self, tz, start):
        company = self.make_company(tz, tz=tz)
        seller = self.make_user(tz.split("/")[1], "sales_team.group_sale_salesman", companies=company)
        return self.subscription(user=seller, company=company, start=start).sudo()

    def test_kiritimati_is_billed_when_its_day_begins(self):
        order = self.subscription_in("Pacific/Kiritimati", "2027-02-15")
        self.bill("2027-02-14 09:59")
        self.assertFalse(order.period_ids)
        self.bill("2027-02-14 10:00")
        self.assertEqual(self.starts(order), ["2027-02-15"])
        self.assertDates(order.invoice_ids, invoice_date="2027-02-15")

    def test_pago_pago_is_billed_when_its_day_begins(self):
        order = self.subscription_in("Pacific/Pago_Pago", "2027-02-15")
        self.bill("2027-02-15 10:59")
        self.assertFalse(order.period_ids)
        self.bill("2027-02-15 11:00")
        self.assertEqual(self.starts(order), ["2027-02-15"])
        self.assertDates(order.invoice_ids, invoice_date="2027-02-15")

    def test_one_run_bills_each_company_by_its_own_day(self):
        early = self.subscription_in("Pacific/Kiritimati", "2027-02-15")
        late = self.subscription_in("Pacific/Pago_Pago", "2027-02-15")
        here = self.subscription(start="2027-02-15")
        self.bill("2027-02-14 23:30")
        self.assertEqual([len(order.sudo().period_ids) for order in (early, here, late)], [1, 0, 0])
        self.bill("2027-02-15 00:30")
        self.assertEqual([len(order.sudo().period_ids) for order in (early, here, late)], [1, 1, 0])

    def test_day_of_the_company_decides_and_not_that_of_the_scheduler(self):
        self.env.ref("base.user_root").sudo().tz = "Pacific/Kiritimati"
        order = self.subscription(start="2027-02-15")
        self.bill("2027-02-14 12:00")
        self.assertFalse(order.period_ids)

    def test_subscription_without_a_start_begins_on_the_day_where_the_company_is(self):
        self.assertDates(self.subscription_in("Pacific/Kiritimati", False), start_date="2027-02-01")

    # Downtime and wrong clocks

    def test_clock_set_back_by_a_day_bills_nothing_twice(self):
        order = self.subscription()
        for day in ("2027-01-31", "2027-02-28", "2027-02-27", "2027-02-28"):
            self.bill(day)
        self.assertEqual(self.starts(order), ["2027-01-31", "2027-02-28"])
        self.assertEqual(len(self.invoices(order)), 2)

    def test_weekly_subscription_is_caught_up_after_forty_days(self):
        order = self.subscription(plan=self.weekly)
        self.bill("2027-03-12")
        self.assertEqual(
            self.starts(order), ["2027-01-31", "2027-02-07", "2027-02-14", "2027-02-21", "2027-02-28", "2027-03-07"]
        )
        self.assertTiles(order, "2027-01-31", "2027-03-14")

    def test_monthly_subscription_is_caught_up_after_forty_days(self):
        order = self.subscription()
        self.bill("2027-03-12")
        self.assertEqual(self.starts(order), ["2027-01-31", "2027-02-28"])
        self.assertDates(order, next_invoice_date="2027-03-31")

    def test_four_hundred_days_are_caught_up_over_several_runs(self):
        order = self.subscription(plan=self.weekly)
        counts = []
        for _run in range(6):
            self.bill("2028-03-06")
            counts.append(len(self.billed_periods(order)))
        self.assertEqual(counts, [12, 24, 36, 48, 58, 58])
        self.assertTiles(order, "2027-01-31", "2028-03-12")

    def test_pause_that_ended_during_the_downtime_is_not_billed(self):
        order = self.paused_subscription(resume_date="2027-02-10")
        self.bill("2027-03-12")
        self.expire(until="2027-03-12")
        self.bill("2027-03-12")
        self.assertEqual(self.billed_periods(order), [("2027-02-10", "2027-02-28"), ("2027-02-28", "2027-03-31")])

    # The day of the close

    def closing(self):
        order = self.subscription()
        self.bill()
        order.subscription_close(self.reason.id, when="date", date="2027-02-28")
        self.flush_chatter()
        return order

    def assertClosedUnbilled(self, order):
        self.assertEqual(order.subscription_state, "churned")
        self.assertEqual(self.starts(order), ["2027-01-31"])
        self.assertEqual(len(self.invoices(order)), 1)

    def test_close_before_billing_on_the_same_day(self):
        order = self.closing()
        self.expire(until="2027-02-28")
        self.bill("2027-02-28")
        self.assertClosedUnbilled(order)

    def test_billing_before_the_close_on_the_same_day(self):
        order = self.closing()
        self.bill("2027-02-28")
        self.expire(until="2027-02-28")
        self.assertClosedUnbilled(order)

    def test_both_actions_run_repeatedly_on_the_day_of_the_close(self):
        order = self.closing()
        for _run in range(2):
            self.bill("2027-02-28")
            self.expire(until="2027-02-28")
            self.expire(until="2027-02-28")
            self.bill("2027-02-28")
        self.assertClosedUnbilled(order)

    def test_both_actions_down_on_the_day_of_the_close(self):
        for first, second in ((self.bill, self.expire), (self.expire, self.bill)):
            with self.subTest(first=first.__name__):
                order = self.closing()
                first(until="2027-04-09")
                second(until="2027-04-09")
                self.assertClosedUnbilled(order)

    def test_close_on_the_day_before_is_not_billed_on_the_day(self):
        order = self.subscription()
        self.bill()
        with self.on("2027-02-27 23:59"):
            order.subscription_close(self.reason.id)
        self.bill("2027-02-28 00:00")
        self.assertClosedUnbilled(order)

    def test_close_of_the_company_s_day_wins_around_the_world(self):
        order = self.subscription_in("Pacific/Kiritimati", "2027-02-15")
        order.end_date = "2027-02-15"
        self.bill("2027-02-14 10:00")
        self.assertFalse(order.period_ids)
