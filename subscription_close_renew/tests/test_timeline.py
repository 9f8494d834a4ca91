from odoo.tests import tagged
from odoo.tools import html2plaintext

from .common import SubscriptionCommon


@tagged("post_install", "-at_install")
class TestTimeline(SubscriptionCommon):
    """The tab Timeline of an order; it is 31 January 2027, unless a test says otherwise."""

    def events(self, order, user=None):
        """Return the events of the timeline, latest first: ``(date, event, before, after)``."""
        order = order.with_user(user or order.env.user)
        movements = order._get_timeline_movements()[order.origin_order_id]
        return [
            (str(event["date"]), event["text"], event["before"], event["after"])
            for event in order._get_timeline_events(movements)
        ]

    def text(self, order):
        return " ".join(html2plaintext(order.subscription_timeline or "", include_references=False).split())

    def test_life_of_a_subscription_is_shown_latest_first(self):
        order = self.subscription()
        with self.on("2027-02-10"):
            order.order_line.product_uom_qty = 3
            self.flush_chatter()
        with self.on("2027-02-12"):
            order.subscription_pause()
        with self.on("2027-02-14"):
            order.subscription_resume()
        with self.on("2027-02-16"):
            order.order_line.price_unit = 50.0
            self.flush_chatter()
        with self.on("2027-02-18"):
            order.subscription_close(self.reason.id)
        with self.on("2027-02-20"):
            order.with_user(self.administrator).subscription_reopen()
        self.assertEqual(
            self.events(order),
            [
                ("2027-02-20", "Reopened", 0.0, 150.0),
                ("2027-02-18", "Closed", 150.0, 0.0),
                ("2027-02-16", "Price or quantity lowered", 300.0, 150.0),
                ("2027-02-14", "Resumed", 0.0, 300.0),
                ("2027-02-12", "Paused", 300.0, 0.0),
                ("2027-02-10", "Price or quantity raised", 100.0, 300.0),
                ("2027-01-31", "Started", 0.0, 100.0),
            ],
        )
        self.assertIn("*Closed* : Moves abroad", self.text(order))

    def test_renewal_is_one_event_and_links_the_other_order(self):
        order = self.subscription()
        self.invoice(order)
        renewal = order._make_renewals()
        renewal.order_line.product_uom_qty = 2
        renewal.action_confirm()
        self.flush_chatter()
        self.assertEqual(
            self.events(renewal),
            [
                (str(renewal.start_date), "Price or quantity raised", 100.0, 200.0),
                (str(renewal.start_date), "Renewed", 100.0, 100.0),
                ("2027-01-31", "Started", 0.0, 100.0),
            ],
        )
        self.assertEqual(self.events(order), self.events(renewal))
        self.assertIn(f'href="/odoo/subscriptions/{order.id}"', renewal.subscription_timeline)
        self.assertIn(f'href="/odoo/subscriptions/{renewal.id}"', order.subscription_timeline)

    def test_subscription_closed_while_paused_was_not_resumed(self):
        order = self.paused_subscription()
        order.subscription_close(self.reason.id)
        self.assertEqual([event[1] for event in self.events(order)], ["Closed", "Paused", "Started"])

    def test_cancelled_confirmation_is_shown(self):
        order = self.subscription()
        order.with_context(disable_cancel_warning=True).action_cancel()
        self.assertEqual([event[1] for event in self.events(order)], ["Confirmation cancelled", "Started"])

    def test_names_are_escaped(self):
        self.reason.name = "<script>alert(1)</script>"
        order = self.churned_subscription()
        self.assertNotIn("<script>", order.subscription_timeline)
        self.assertIn("&lt;script&gt;", order.subscription_timeline)

    def test_quotations_and_ordinary_orders_have_no_timeline(self):
        ordinary = self.quotation(plan=False, lines=[self.line(self.one_time_product)])
        self.assertFalse(self.quotation().subscription_timeline)
        self.env.flush_all()
        with self.assertQueryCount(0):
            self.assertFalse(ordinary.subscription_timeline)

    def test_many_take_as_many_queries_as_one(self):
        orders = self.env["sale.order"].union(*(self.subscription() for _number in range(5)))
        orders = orders.with_user(self.salesperson)

        def count(records):
            self.env.invalidate_all()
            records.mapped("name")
            before = self.cr.sql_log_count
            records.mapped("subscription_timeline")
            return self.cr.sql_log_count - before

        count(orders)
        self.assertEqual(count(orders), count(orders[0]))

    def test_order_of_a_colleague_in_the_chain_is_not_shown(self):
        order = self.subscription()
        self.invoice(order)
        renewal = order._make_renewals()
        renewal.action_confirm()
        order.sudo().user_id = self.other_salesperson
        self.assertEqual([event[1] for event in self.events(renewal, self.salesperson)], ["Renewed"])
        self.assertEqual(len(self.events(renewal, self.sales_lead)), 2)
