from odoo.exceptions import UserError
from odoo.fields import NO_ACCESS, Command
from odoo.tests import tagged

from ..tools.guard import as_method
from .common import SubscriptionCommon

ADDON = "subscription_close_renew"
# Fields set on a form or by one of Odoo's own methods; every other stored field of the addon is guarded.
SET_BY_PEOPLE = {
    "account.move.line": set(),
    "sale.order": {
        "end_date",
        "next_invoice_date",
        "payment_exception",
        "payment_token_id",
        "plan_by_default",
        "plan_id",
        "resume_date",
        "start_date",
        "term_end_action",
        "term_periods",
    },
    "sale.order.line": set(),
}


class GuardedFieldsCommon(SubscriptionCommon):
    def forged_values(self, model):
        """Return a value for each guarded field of a model, in the form that a caller would send."""
        order = self.subscription()
        values = {
            "boolean": True,
            "date": "2020-01-01",
            "datetime": "2020-01-01 00:00:00",
            "monetary": 1000000.0,
            "one2many": [Command.clear()],
        }
        records = {"sale.order": order, "sale.order.line": order.order_line, "sale.order.close.reason": self.reason}
        forged = {}
        for name in sorted(model._get_guarded_fields()):
            field = model._fields[name]
            if field.type == "many2one":
                forged[name] = records[field.comodel_name].id
            elif field.type == "selection":
                forged[name] = "progress"
            else:
                forged[name] = values[field.type]
        return forged


@tagged("post_install", "-at_install")
class TestGuardedFields(GuardedFieldsCommon):
    """Fields reserved for methods cannot be written by anybody, in any way."""

    def test_every_stored_field_is_guarded_or_set_by_users(self):
        for model, by_people in SET_BY_PEOPLE.items():
            ours = {
                name
                for name, field in self.env[model]._fields.items()
                if ADDON in field._modules and (field.store or field.type == "one2many") and field.groups != NO_ACCESS
            }
            self.assertEqual(ours - by_people, set(self.env[model]._get_guarded_fields()), model)

    def test_copies_do_not_carry_guarded_fields(self):
        for model in SET_BY_PEOPLE:
            fields = self.env[model]._fields
            copied = [name for name in self.env[model]._get_guarded_fields() if fields[name].copy]
            self.assertFalse(copied, model)

    def test_salesperson_cannot_write_them(self):
        order = self.subscription()
        for records in (order, order.order_line):
            for name, value in self.forged_values(records).items():
                with self.subTest(name), self.assertRefused("cannot be set manually"):
                    records.write({name: value})

    def test_administrator_cannot_write_them(self):
        order = self.subscription().with_user(self.administrator)
        for name, value in self.forged_values(order).items():
            with self.subTest(name), self.assertRefused("cannot be set manually"):
                order.write({name: value})

    def test_accountant_cannot_write_them_on_a_posted_invoice(self):
        line = self.invoice(self.subscription()).invoice_line_ids
        for name, value in self.forged_values(line).items():
            with self.subTest(name), self.assertRefused("cannot be set manually"):
                line.write({name: value})

    def test_they_cannot_be_set_on_a_new_quotation(self):
        for name, value in self.forged_values(self.env["sale.order"]).items():
            if name != "subscription_id":  # the helpers of the tests allow it
                with self.subTest(name), self.assertRefused("cannot be set manually"):
                    self.quotation(**{name: value})

    def test_they_cannot_be_set_on_a_new_quotation_line(self):
        for name, value in self.forged_values(self.env["sale.order.line"]).items():
            with self.subTest(name), self.assertRefused("cannot be set manually"):
                self.quotation(lines=[self.line(**{name: value})])

    def test_they_cannot_be_set_on_a_new_invoice_line(self):
        for name, value in self.forged_values(self.env["account.move.line"]).items():
            line = Command.create({"product_id": self.recurring_product.id, "quantity": 1, name: value})
            for command in ("invoice_line_ids", "line_ids"):
                with self.subTest(name), self.assertRefused("cannot be set manually"):
                    self.make_invoice(**{command: [line]})

    def test_defaults_in_the_context_do_not_set_them(self):
        forged = self.forged_values(self.env["sale.order"])
        orders = self.env["sale.order"].with_user(self.salesperson)
        order = orders.with_context(**{f"default_{name}": value for name, value in forged.items()}).create(
            {"partner_id": self.customer.id, "plan_id": self.monthly.id, "order_line": [self.line()]}
        )
        self.assertEqual((order.subscription_state, order.recurring_monthly), ("quotation", 100.0))
        self.assertFalse(order.subscription_id or order.anchor_date or order.auto_renew_on or order.close_reason_id)

    def test_defaults_of_the_database_do_not_set_them(self):
        victim = self.subscription()
        self.env["ir.default"].set("sale.order", "subscription_id", victim.id)
        self.env["ir.default"].set("account.move.line", "subscription_id", victim.id)
        self.assertFalse(self.quotation().subscription_id)
        self.assertFalse(self.make_invoice(invoice_line_ids=[self.line_of_invoice()]).line_ids.subscription_id)

    def test_a_plain_value_in_the_context_grants_nothing(self):
        order = self.subscription().with_context(subscription_methods=True)
        with self.assertRefused("cannot be set manually"):
            order.recurring_monthly = 1000000

    def test_defaults_in_the_context_of_create_invoice_add_no_line(self):
        victim, order = self.subscription(), self.subscription()
        forged = {
            "subscription_id": victim.id,
            "subscription_period_start": "2027-01-31",
            "subscription_period_end": "2027-02-28",
            "sale_line_ids": [Command.link(victim.order_line.id)],
            "name": "Forged",
        }
        wizards = self.env["sale.advance.payment.inv"].with_user(self.salesperson)
        wizards.with_context(active_ids=order.ids, default_line_ids=[Command.create(forged)]).create(
            {"advance_payment_method": "delivered"}
        ).create_invoices()
        self.assertEqual(self.invoices(order).line_ids.subscription_id, order)

    def test_order_state_of_a_subscription_is_changed_by_its_buttons_only(self):
        """Otherwise a quotation would accept a past date, and a cancelled order would still be billed."""
        order = self.subscription()
        self.invoice(order)
        for user in (self.salesperson, self.administrator, self.accountant):
            for state in ("draft", "sent", "cancel"):
                with self.subTest(state), self.assertRefused("cannot be set manually"):
                    order.with_user(user).write({"state": state})
        order.state = "sale"
        self.churned_subscription().action_cancel()

    def test_order_state_of_an_ended_subscription_cannot_be_written_either(self):
        for order in (self.churned_subscription(), self.paused_subscription()):
            with self.assertRefused("cannot be set manually"):
                order.state = "draft"

    def test_records_created_along_with_a_copy_set_none(self):
        """Copying with business fields, as Odoo does for a credit note, is a method that may write them."""
        order = self.subscription()
        invoice = self.invoice(order).with_context(include_business_fields=True)
        forged = {"subscription_id": order.id, "sale_line_ids": [Command.update(order.order_line.id, {})]}
        lines = [self.line_of_invoice(**forged)]
        note = {"move_type": "out_invoice", "partner_id": self.customer.id, "invoice_line_ids": lines}
        for default in (
            {"reversal_move_ids": [Command.create(note)]},
            {"invoice_line_ids": lines},
            {"line_ids": lines},
        ):
            with self.subTest(default.keys()), self.assertRefused("cannot be set manually"):
                invoice.copy(default)
        self.assertEqual(invoice.copy({"ref": "Again"}).invoice_line_ids.subscription_id, order)

    def line_of_invoice(self, **values):
        return Command.create({"product_id": self.recurring_product.id, "quantity": 1, **values})

    def make_invoice(self, **values):
        invoices = self.env["account.move"].with_user(self.accountant)
        return invoices.create({"move_type": "out_invoice", "partner_id": self.customer.id, **values})


@tagged("post_install", "-at_install")
class TestClaims(GuardedFieldsCommon):
    """An invoice bills only a period of the subscription of its lines, however they were created."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.subscription()
        cls.draft = cls.invoice(cls.order, post=False)

    def forge(self, **values):
        """Write guarded fields without the guard."""
        as_method(self.draft.invoice_line_ids.sudo()).write(values)

    def assertNotPosted(self):
        with self.assertRefused("does not invoice a period of"):
            self.draft.action_post()

    def test_period_before_the_start_is_not_claimed(self):
        self.forge(subscription_period_start="2020-01-31", subscription_period_end="2020-02-29")
        self.assertNotPosted()

    def test_period_longer_than_the_plan_says_is_not_claimed(self):
        self.forge(subscription_period_end="2199-12-31")
        self.assertNotPosted()

    def test_period_of_the_far_future_is_not_claimed(self):
        self.forge(subscription_period_start="2199-01-31", subscription_period_end="2199-02-28")
        self.assertNotPosted()

    def test_period_that_begins_off_schedule_is_not_claimed(self):
        self.order.next_invoice_date = "2027-03-31"
        self.forge(subscription_period_start="2027-02-10", subscription_period_end="2027-02-28")
        self.assertNotPosted()

    def test_line_of_another_order_claims_nothing(self):
        self.forge(sale_line_ids=[Command.set(self.subscription().order_line.ids)])
        self.assertNotPosted()

    def test_line_without_an_order_claims_nothing(self):
        self.forge(sale_line_ids=[Command.clear()])
        self.assertNotPosted()

    def test_subscription_of_another_company_is_not_linked(self):
        second = self.make_company("Second Company")
        user = self.make_user("second", "sales_team.group_sale_salesman", second)
        theirs = self.subscription(user=user, company=second)
        with self.assertRefused("company"):
            self.forge(subscription_id=theirs.id)

    def test_next_period_is_claimed_before_a_freed_one(self):
        self.draft.action_post()
        later = self.invoice(self.order, post=False)
        self.reset(self.draft)
        later.action_post()
        self.assertEqual(self.billed_periods(self.order), [("2027-02-28", "2027-03-31")])
        self.assertDates(self.order, next_invoice_date="2027-01-31")

    def test_invoice_line_of_another_subscription_leaves_the_period_to_bill(self):
        """Linking an invoice line of one subscription to the order line of another does not bill the other."""
        other = self.subscription()
        self.draft.invoice_line_ids.sudo().sale_line_ids = [Command.link(other.order_line.id)]
        self.assertEqual(other.order_line.qty_to_invoice, 1)

    def test_line_without_quantity_does_not_keep_a_period_billed(self):
        self.draft.action_post()
        second = self.invoice(self.order, post=False)
        as_method(second.invoice_line_ids.sudo()).write(
            {"subscription_period_start": "2027-01-31", "subscription_period_end": "2027-02-28", "quantity": 0}
        )
        second.action_post()
        self.assertEqual(self.order.period_ids.invoice_ids, self.draft.sudo())


@tagged("post_install", "-at_install")
class TestContext(SubscriptionCommon):
    """The caller's context decides nothing and keeps nothing out of the chatter."""

    QUIET = {
        "tracking_disable": True,
        "mail_notrack": True,
        "mail_create_nolog": True,
        "mail_create_nosubscribe": True,
    }

    def assertSaid(self, order, field):
        self.flush_chatter()
        names = order.sudo().message_ids.tracking_value_ids.field_id.mapped("name")
        self.assertIn(field, names)

    def quiet(self, order):
        return order.with_context(**self.QUIET)

    def test_close_is_logged(self):
        order = self.subscription()
        self.quiet(order).subscription_close(self.reason.id)
        self.assertSaid(order, "close_reason_id")
        self.assertIn("Subscription closed.", self.chatter(order))

    def test_request_to_close_and_its_end_are_logged(self):
        order = self.subscription()
        self.quiet(order).subscription_close(self.reason.id, when="date", date="2027-03-15")
        self.assertSaid(order, "end_date")
        self.quiet(order).subscription_keep()
        self.assertIn("Subscription kept", self.chatter(order))

    def test_pause_is_logged(self):
        order = self.subscription()
        self.quiet(order).subscription_pause("2027-03-15")
        self.assertSaid(order, "resume_date")

    def test_date_written_manually_is_logged(self):
        order = self.subscription()
        self.quiet(order).end_date = "2027-12-31"
        self.assertSaid(order, "end_date")

    def test_caller_cannot_pose_as_the_customer(self):
        order = self.subscription()
        order.with_context(subscription_close_by_customer=True).subscription_close(
            self.reason.id, when="date", date="2027-03-15"
        )
        self.assertFalse(order.close_by_customer)

    def test_caller_cannot_leave_anything_out_of_an_invoice(self):
        """Odoo's internal keys would create invoices without taxes and without a due amount."""
        order = self.subscription()
        self.click(order.with_context(skip_invoice_sync=True, check_move_validity=False), "action_subscription_bill")
        [invoice] = self.invoices(order)
        self.assertEqual((invoice.state, invoice.amount_total, invoice.payment_state), ("posted", 100.0, "not_paid"))

    def test_caller_cannot_leave_anything_out_of_an_unknown_payment(self):
        order = self.subscription()
        order.payment_exception = True
        wizards = self.env["sale.subscription.resolve.wizard"].with_user(self.salesperson)
        wizard = wizards.create({"order_id": order.id, "outcome": "paid"})
        wizard.with_context(skip_invoice_sync=True, check_move_validity=False).action_submit()
        [invoice] = self.invoices(order)
        self.assertEqual((invoice.amount_total, invoice.amount_residual), (100.0, 0.0))
        self.assertNotEqual(invoice.payment_state, "not_paid")

    def test_caller_cannot_choose_the_price_of_a_renewal(self):
        order = self.paid_subscription()
        renewal = self.renewal(order.with_context(renewal_increase=-150))
        self.assertEqual(renewal.recurring_total, 100.0)

    def test_pop_up_refuses_an_unreasonable_increase(self):
        wizards = self.env["sale.subscription.renew.wizard"].with_user(self.salesperson)
        for increase in (-150, -100, 1001):
            with self.subTest(increase), self.assertRaises(UserError):
                wizards.create({"order_ids": [Command.set(self.subscription().ids)], "price_increase": increase})


@tagged("post_install", "-at_install")
class TestRenewalLinks(SubscriptionCommon):
    """Only Renew says which subscription a quotation renews."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.order = cls.paid_subscription()
        cls.stranger = cls.env["res.partner"].create({"name": "Stranger"})

    def test_quotation_for_another_customer_does_not_renew_a_subscription(self):
        orders = self.env["sale.order"].with_user(self.other_salesperson)
        with self.assertRefused("cannot be set manually"):
            orders.create({"partner_id": self.stranger.id, "subscription_id": self.order.id})

    def test_quotation_is_not_linked_from_the_subscription(self):
        mine = self.quotation()
        with self.assertRefused("cannot be set manually"):
            self.order.renewal_ids = [Command.link(mine.id)]

    def test_renewal_quotation_stays_with_its_customer(self):
        renewal = self.renewal(self.order)
        with self.assertRefused("must be for the same customer"):
            renewal.partner_id = self.stranger
        self.assertEqual(self.order.subscription_state, "progress")

    def test_renewal_quotation_may_be_for_a_colleague_of_the_customer(self):
        renewal = self.renewal(self.order)
        renewal.partner_id = self.env["res.partner"].create(
            {"name": "Colleague", "parent_id": self.customer.commercial_partner_id.id}
        )
        renewal.action_confirm()
        self.assertEqual(self.order.subscription_state, "renewed")

    def test_renewal_of_another_customer_is_neither_confirmed_nor_paid(self):
        renewal = self.renewal(self.order)
        self.give_to_stranger(self.order)
        self.assertFalse(renewal._has_to_be_paid() or renewal._has_to_be_signed())
        with self.assertRefused("must be for the same customer"):
            renewal.action_confirm()

    def test_subscription_with_a_renewal_quotation_keeps_its_customer(self):
        """Otherwise Renew in the portal would open the quotation of the previous customer."""
        renewal = self.renewal(self.order)
        with self.assertRefused("must be for the same customer"), self.env.cr.savepoint():
            self.order.partner_id = self.stranger
        renewal._action_cancel()
        self.order.write({"partner_id": self.stranger.id, "partner_invoice_id": self.stranger.id})
        with self.assertRefused("must be for the same customer"):
            renewal.action_draft()

    def test_renew_opens_no_quotation_of_another_customer(self):
        self.renewal(self.order)
        self.monthly.user_renewable = True
        self.give_to_stranger(self.order)
        self.assertIn("must be for the same customer", self.order.sudo()._get_portal_renew_refusal())
        with self.assertRefused("must be for the same customer"):
            self.order.subscription_renew()

    def give_to_stranger(self, order):
        """Give a subscription to another customer, as when a contact leaves a company."""
        self.env.flush_all()
        self.env.cr.execute("UPDATE sale_order SET partner_id = %s WHERE id = %s", [self.stranger.id, order.id])
        order.invalidate_recordset()

    def test_copy_of_a_renewal_quotation_renews_nothing(self):
        copy = self.renewal(self.order).copy()
        self.assertFalse(copy.subscription_id or copy.order_line.renewed_line_id)

    def test_quotation_line_does_not_show_the_price_of_an_arbitrary_line(self):
        theirs = self.subscription().order_line
        mine = self.quotation(user=self.other_salesperson).order_line
        self.env.flush_all()
        self.env.cr.execute("UPDATE sale_order_line SET renewed_line_id = %s WHERE id = %s", [theirs.id, mine.id])
        mine.invalidate_recordset()
        self.assertEqual(mine.previous_price_unit, 0.0)


@tagged("post_install", "-at_install")
class TestStoredFigures(SubscriptionCommon):
    """The ledger check also compares the stored figures shown in lists and reports."""

    def differences_after(self, column):
        order = self.subscription()
        self.env.flush_all()
        self.env.cr.execute(f"UPDATE sale_order SET {column} = 1000000 WHERE id = %s", [order.id])
        self.env.invalidate_all()
        return order, order._get_mrr_differences()

    def test_check_finds_a_wrong_mrr(self):
        order, [difference] = self.differences_after("recurring_monthly")
        self.assertEqual((difference["order_id"], difference["live"], difference["booked"]), (order.id, 100.0, 100.0))
        self.assertIn("100", order._get_mrr_difference_message(difference))

    def test_check_finds_a_wrong_recurring_total(self):
        order, [difference] = self.differences_after("recurring_total")
        self.assertEqual(difference["order_id"], order.id)

    def test_check_finds_the_mrr_of_a_closed_subscription(self):
        order = self.churned_subscription()
        self.env.flush_all()
        self.env.cr.execute("UPDATE sale_order SET recurring_monthly = 5 WHERE id = %s", [order.id])
        self.assertEqual([row["order_id"] for row in order._get_mrr_differences()], [order.id])
