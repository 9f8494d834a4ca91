"""A vocabulary for tests about subscriptions, also for addons that extend this one.

A test reads as a story: it is 31 January 2027, noon, and ::

    order = self.subscription()  # confirmed today, one coffee a month
    self.invoice(order)  # January is invoiced
    order.subscription_close(self.reason.id, when="period_end")
    self.expire(until="2027-02-28")  # the scheduled action runs on 28 February
    self.assertEqual(order.subscription_state, "churned")

Records come with the rights of the person who would handle them: an order with those of its salesperson, an invoice
with those of the accountant. `self.env` itself has all rights, and serves to prepare things.
"""

from contextlib import ExitStack, contextmanager
from itertools import pairwise
from unittest.mock import patch

from odoo import api, fields
from odoo.exceptions import UserError
from odoo.fields import Command
from odoo.modules import module
from odoo.tests import TransactionCase, freeze_time
from odoo.tools import html2plaintext

from odoo.addons.subscription_close_renew.models.subscription.sale_subscription_guard_mixin import as_method


@freeze_time("2027-01-31 12:00:00")
class SubscriptionCommon(TransactionCase):
    """A company of its own, in UTC, with plans, products, close reasons, a customer and five kinds of users.

    Class attributes:

    * ``company``: where all of this takes place; demo data and other companies stay out of it
    * ``weekly``, ``monthly``, ``yearly``: recurring plans
    * ``recurring_product`` (100.0 a period), ``one_time_product`` (30.0)
    * ``reason`` (shown in the portal), ``hidden_reason``, ``archived_reason``
    * ``customer``: partner of ``portal_user``
    * ``bank_journal``: receives what :meth:`register_payment` registers
    * ``salesperson`` and ``other_salesperson`` (own documents), ``sales_lead`` (all documents), ``administrator`` (of
      Sales), ``accountant`` (no rights in Sales)
    """

    @classmethod
    def setUpClass(cls):
        cls.caches_invalidated = set()
        kept = ExitStack()
        # Class cleanups run in the opposite order: these two enclose Odoo's.
        cls.addClassCleanup(kept.close)
        super().setUpClass()
        cls.addClassCleanup(kept.enter_context, cls._keep_caches(of_class=True))
        # Passwords are no part of this, and their mails would be.
        cls.env = cls.env(context={**cls.env.context, "no_reset_password": True})
        cls.company = cls.make_company("Subscription Company")
        cls.env = api.Environment(cls.cr, cls.env.uid, {**cls.env.context, "allowed_company_ids": cls.company.ids})
        cls.company = cls.company.with_env(cls.env)
        cls._make_users()
        cls._make_bank()
        cls._make_catalogue()
        # A run in the test's future would catch up the subscriptions of demo data.
        others = cls.env["sale.order"].search([("subscription_state", "=", "progress")])
        others.subscription_pause()
        cls.env.flush_all()
        others._track_discard()

    @classmethod
    def _make_users(cls):
        cls.salesperson, cls.other_salesperson, cls.sales_lead, cls.administrator, cls.accountant, cls.portal_user = (
            cls.make_users(
                {
                    "salesperson": "sales_team.group_sale_salesman",
                    "other_salesperson": "sales_team.group_sale_salesman",
                    "sales_lead": "sales_team.group_sale_salesman_all_leads",
                    "administrator": "sales_team.group_sale_manager",
                    "accountant": "account.group_account_invoice",
                    "customer": "base.group_portal",
                }
            )
        )
        cls.customer = cls.portal_user.partner_id

    @classmethod
    def _make_bank(cls):
        bank, cls.outstanding = cls.env["account.account"].create(
            [
                {"code": "101401", "name": "Bank", "account_type": "asset_cash"},
                {"code": "101402", "name": "Outstanding Receipts", "account_type": "asset_current", "reconcile": True},
            ]
        )
        cls.bank_journal = cls.env["account.journal"].create(
            {
                "name": "Bank",
                "code": "BNK",
                "type": "bank",
                "company_id": cls.company.id,
                "default_account_id": bank.id,
            }
        )
        cls.bank_journal.inbound_payment_method_line_ids.payment_account_id = cls.outstanding

    @classmethod
    def _make_catalogue(cls):
        cls.weekly, cls.monthly, cls.yearly = cls.env["sale.subscription.plan"].create(
            [{"name": f"Every {unit}", "billing_period_unit": unit} for unit in ("week", "month", "year")]
        )
        cls.recurring_product, cls.one_time_product = cls.env["product.product"].create(
            [
                {
                    "name": "Coffee Service",
                    "type": "service",
                    "invoice_policy": "order",
                    "recurring_invoice": True,
                    "list_price": 100.0,
                    "taxes_id": False,
                },
                {
                    "name": "Installation",
                    "type": "service",
                    "invoice_policy": "order",
                    "list_price": 30.0,
                    "taxes_id": False,
                },
            ]
        )
        cls.reason, cls.hidden_reason, cls.archived_reason = cls.env["sale.order.close.reason"].create(
            [
                {"name": "Moves abroad"},
                {"name": "Never paid anything", "visible_in_portal": False},
                {"name": "Of another time", "active": False},
            ]
        )

    @classmethod
    def make_company(cls, name, tz="UTC"):
        """Return a new company that can post invoices, without a chart of accounts to load.

        :param str name: name of the company
        :param str tz: time zone of the company's contact, which its dates follow
        :rtype: res.company
        """
        # Odoo's own logo would be made smaller five times for each company.
        values = {"name": name, "currency_id": cls.env.ref("base.USD").id, "logo": False}
        company = cls._without_chatter("res.company").create(values).with_env(cls.env)
        # Writing to a currency clears caches that take long to fill.
        if not company.currency_id.active:
            company.currency_id.active = True
        company.partner_id.tz = tz
        env = cls.env(context={**cls.env.context, "allowed_company_ids": company.ids})
        receivable, income = env["account.account"].create(
            [
                {"code": "121000", "name": "Receivable", "account_type": "asset_receivable", "reconcile": True},
                {"code": "400000", "name": "Income", "account_type": "income"},
            ]
        )
        env["account.journal"].create(
            {"name": "Sales", "code": "INV", "type": "sale", "default_account_id": income.id, "company_id": company.id}
        )
        env["ir.default"].set("res.partner", "property_account_receivable_id", receivable.id, company_id=company.id)
        return company

    @classmethod
    def make_user(cls, name, groups, companies=None):
        """Return a new user.

        :param str name: becomes the login (``subscription_<name>``) and part of the mail address
        :param str groups: external ids of groups, separated by commas
        :param companies: the user's companies, the first being the main one; without it, the company of the test
        :rtype: res.users
        """
        return cls.make_users({name: groups}, companies)

    @classmethod
    def make_users(cls, groups_of, companies=None):
        """Return new users; several at once take a third of the time that one after the other do.

        :param dict groups_of: what :meth:`make_user` takes as groups, by name
        :param companies: as for :meth:`make_user`
        :rtype: res.users
        """
        companies = companies or cls.company
        users = cls._without_chatter("res.users").create(
            [
                {
                    "login": f"subscription_{name}",
                    "password": f"subscription_{name}",
                    "name": name.replace("_", " ").title(),
                    "email": f"{name}@subscription.example.com",
                    "group_ids": [Command.set([cls.env.ref(group).id for group in groups.split(",")])],
                    "company_id": companies[0].id,
                    "company_ids": [Command.set(companies.ids)],
                }
                for name, groups in groups_of.items()
            ]
        )
        return users.with_env(cls.env)

    @classmethod
    def _without_chatter(cls, model):
        """Return a model whose new records have no messages, no followers and no tracking, which no test looks at."""
        return cls.env[model].with_context(tracking_disable=True, mail_notrack=True)

    def setUp(self):
        with self._keep_caches():
            super().setUp()

    @classmethod
    def _keep_caches(cls, of_class=False):
        """Return a context in which Odoo, asked to clear all caches, clears those that were invalidated since now.

        Odoo clears all after each test and each class. A page spends half of its time on reading views and routes again.

        :param bool of_class: whether also those are cleared that earlier calls have cleared
        """
        registry, before = cls.registry, dict(cls.registry.cache_sequences)

        def clear():
            signalled = {name for name, sequence in registry.cache_sequences.items() if sequence != before[name]}
            invalidated = signalled | registry.cache_invalidated
            cls.caches_invalidated |= invalidated
            if of_class:
                # What the class has made is gone, too.
                invalidated = cls.caches_invalidated
            if invalidated:
                registry.clear_cache(*invalidated)
            registry.cache_invalidated.clear()

        return patch.object(registry, "clear_all_caches", clear)

    @classmethod
    def made_once(cls, name, **kwargs):
        """Return what a method of the tests makes, for all tests of a class, each of which finds it as it was made.

        Meant for :meth:`setUpClass`, where there is no test yet that a scheduled action could belong to.

        :param str name: the method, such as one that bills a subscription
        :param dict kwargs: what it takes
        """
        story = cls(name)
        with patch.object(module, "current_test", story):
            return getattr(story, name)(**kwargs)

    # What people do

    @classmethod
    def line(cls, product=None, quantity=1, **values):
        """Return the command that adds a line to an order.

        :param product: the recurring product, if not given
        :param float quantity: how many
        """
        product = product or cls.recurring_product
        return Command.create({"product_id": product.id, "product_uom_qty": quantity, **values})

    @classmethod
    def quotation(cls, plan=None, start=None, lines=None, user=None, company=None, **values):
        """Return a quotation with a recurring plan, with the rights of its salesperson.

        :param plan: recurring plan (monthly, if not given), or False for an ordinary quotation
        :param str start: first day, ``YYYY-MM-DD``; without one, the day of the confirmation
        :param list lines: commands as from :meth:`line`; without them, one recurring product
        :param user: the salesperson who makes it (``salesperson``, if not given)
        :param company: where it is made (the company of the test, if not given)
        :param dict values: other fields of the order
        :rtype: sale.order
        """
        user = user or cls.salesperson
        orders = cls.env["sale.order"].with_user(user)
        if company:
            orders = orders.with_context(allowed_company_ids=company.ids)
        env = orders.env
        if "subscription_id" in values:
            # As if it had been made by Renew, without an invoice and its payment before.
            orders = as_method(orders)
        order = orders.create(
            {
                "partner_id": cls.customer.id,
                "plan_id": cls.monthly.id if plan is None else plan and plan.id,
                "start_date": start,
                "user_id": user.id,
                "order_line": [cls.line()] if lines is None else lines,
                **values,
            }
        ).with_env(env)
        # What Odoo fills in by itself while it makes an order would be noted in the chatter, field by field.
        cls.env.flush_all()
        order._track_discard()
        cls.flush_chatter()
        return order

    @classmethod
    def subscription(cls, **values):
        """Return a subscription in progress, with the rights of its salesperson.

        :param dict values: what :meth:`quotation` takes
        :rtype: sale.order
        """
        order = cls.quotation(**values)
        order.action_confirm()
        cls.flush_chatter()
        return order

    @classmethod
    def invoice(cls, order, post=True):
        """Return an invoice of the next period of a subscription, with the rights of the accountant.

        Its one-time lines are invoiced along with the first period.

        :param order: a subscription that runs
        :param bool post: whether to post the invoice
        :rtype: account.move
        """
        order = order.with_user(cls.accountant)
        values = order._prepare_invoice()
        values["invoice_line_ids"] = [
            Command.create(line._prepare_invoice_line(quantity=line.product_uom_qty))
            for line in order.order_line
            if line.is_recurring or line.qty_to_invoice
        ]
        invoice = as_method(order.env["account.move"]).create(values).with_env(order.env)
        if post:
            invoice.action_post()
        cls.flush_chatter()
        return invoice

    @staticmethod
    def bill_january(invoice, **values):
        """Let a draft invoice bill some of the first period, as one does that was made while that one was open.

        :param invoice: a draft `account.move`, as from :meth:`invoice`
        :param dict values: other fields of its lines
        """
        january = {"subscription_period_start": "2027-01-31", "subscription_period_end": "2027-02-28"}
        as_method(invoice.invoice_line_ids).write({**january, **values})

    @classmethod
    def reset(cls, invoice):
        """Reset a posted invoice to draft, as its accountant does before correcting it.

        :param invoice: a posted `account.move`
        """
        invoice.button_draft()
        cls.flush_chatter()

    @classmethod
    def register_payment(cls, invoice):
        """Register by hand that an invoice was paid, as the accountant does."""
        wizards = cls.env["account.payment.register"].with_user(cls.accountant)
        wizard = wizards.with_context(active_model="account.move", active_ids=invoice.ids).create({})
        wizard._create_payments()
        cls.flush_chatter()

    @classmethod
    def paid_subscription(cls, **values):
        """Return a subscription whose first period was invoiced and paid, so that it can be renewed.

        :param dict values: what :meth:`subscription` takes
        :rtype: sale.order
        """
        order = cls.subscription(**values)
        cls.register_payment(cls.invoice(order))
        return order

    @classmethod
    def renewal(cls, order, user=None):
        """Return the quotation that renews a subscription, as the button Renew makes or finds it.

        :param order: a subscription that can be renewed
        :param user: who presses the button (the user of the order, if not given)
        :rtype: sale.order
        """
        order = order.with_user(user) if user else order
        renewal = order.browse(order.subscription_renew())
        cls.flush_chatter()
        return renewal

    @classmethod
    def renewed_by(cls, order):
        """Return the order that renewed a subscription just now; see :meth:`renewal`.

        :rtype: sale.order
        """
        renewal = cls.renewal(order)
        renewal.action_confirm()
        cls.flush_chatter()
        return renewal

    @classmethod
    def paused_subscription(cls, resume_date=None, **values):
        """Return a subscription that was paused at once; see :meth:`subscription`.

        :param str resume_date: the day on which it resumes by itself
        :rtype: sale.order
        """
        order = cls.subscription(**values)
        order.subscription_pause(resume_date)
        cls.flush_chatter()
        return order

    @classmethod
    def churned_subscription(cls, invoiced=False, **values):
        """Return a subscription that was closed at once; see :meth:`subscription`.

        :param bool invoiced: whether its first period was invoiced before
        :rtype: sale.order
        """
        order = cls.subscription(**values)
        if invoiced:
            cls.invoice(order)
        order.subscription_close(cls.reason.id)
        cls.flush_chatter()
        return order

    # What time does

    @staticmethod
    def on(moment):
        """Return the context in which it is another time (UTC).

        :param str moment: ``YYYY-MM-DD``, which means noon, or ``YYYY-MM-DD HH:MM``
        """
        return freeze_time(moment if " " in moment else f"{moment} 12:00:00")

    def expire(self, until="2027-03-01"):
        """Run the scheduled action that carries out what was planned, as the scheduler does.

        :param str until: when it runs, as for :meth:`on`
        """
        with self.on(until):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_expiration")

    def bill(self, until="2027-01-31"):
        """Run the scheduled action that invoices and charges what is due, as the scheduler does.

        :param str until: when it runs, as for :meth:`on`
        """
        with self.on(until):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_billing")

    def renew(self, until="2027-02-28"):
        """Run the scheduled action that announces automatic renewals and carries them out, as the scheduler does.

        :param str until: when it runs, as for :meth:`on`
        """
        with self.on(until):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_renewal")

    def run_scheduled_action(self, xml_id):
        """Run a scheduled action in the way of the scheduler: other cursor, commits, several passes.

        :param str xml_id: external id of an `ir.cron`
        """
        self.flush_chatter()
        with self.other_transactions():
            self.env.ref(xml_id).method_direct_trigger()
        self.env.invalidate_all()

    def click(self, records, method_name):
        """Call a method as a button does: in a transaction of its own, which it may commit.

        :param records: with the rights of the person who clicks
        :param str method_name: a method without parameters
        :return: what the method returns
        """
        self.flush_chatter()
        with self.other_transactions(), self.registry.cursor() as cr:
            result = getattr(records.with_env(records.env(cr=cr)), method_name)()
            cr.flush()
        self.env.invalidate_all()
        return result

    @contextmanager
    def other_transactions(self):
        """Let other cursors see what this test did, and let their commits be undone at its end."""
        if type(self)._registry_patched:  # as in an HttpCase, always
            yield
        else:
            with self.enter_registry_test_mode():
                yield

    # What the chatter says

    @classmethod
    def flush_chatter(cls):
        """Let the chatter note what changed until now, as at the end of a transaction."""
        cls.env.flush_all()
        cls.cr.flush()

    def last_message(self, order):
        """Return the latest message in the chatter of an order, for everybody to read.

        :rtype: mail.message
        """
        self.flush_chatter()
        return order.sudo().message_ids.sorted("id")[-1:]

    def chatter(self, order):
        """Return the text of all messages of an order, the oldest first, a message a line or more.

        :rtype: str
        """
        self.flush_chatter()
        return "\n".join(html2plaintext(message.body) for message in order.sudo().message_ids.sorted("id"))

    def changes(self, message):
        """Return what a message of the chatter says about changed fields.

        :param message: `mail.message`
        :return: ``{name of field: (old, new)}``, as shown to people; dates as ``YYYY-MM-DD``
        :rtype: dict
        """
        changes = {}
        for value in message.sudo().tracking_value_ids:
            kind = "datetime" if value.field_id.ttype in ("date", "datetime") else "char"
            shown = [value[f"{age}_value_{kind}"] for age in ("old", "new")]
            if value.field_id.ttype == "date":
                shown = [day and fields.Date.to_string(day) for day in shown]
            changes[value.field_id.name] = tuple(shown)
        return changes

    def invoices(self, order):
        """Return the invoices of an order, drafts too, in the order of their making, with the rights of the accountant.

        :rtype: account.move
        """
        return order.sudo().invoice_ids.sorted("id").with_user(self.accountant)

    def movements(self, orders):
        """Return what the MRR ledger has of orders, in the order of writing.

        :return: ``[(kind, "YYYY-MM-DD", amount), …]``
        :rtype: list
        """
        self.flush_chatter()
        movements = orders.sudo().movement_ids.sorted("id")
        return [(movement.kind, str(movement.date), movement.amount) for movement in movements]

    def mails(self, record, partner=None):
        """Return the messages about a record that were mailed to somebody, each as often as it was.

        :param partner: whom (the customer, if not given)
        :rtype: list
        """
        self.flush_chatter()
        notifications = self.env["mail.notification"].search(
            [
                ("mail_message_id.model", "=", record._name),
                ("mail_message_id.res_id", "in", record.ids),
                ("res_partner_id", "=", (partner or self.customer).id),
                ("notification_type", "=", "email"),
            ],
            order="id",
        )
        return [notification.mail_message_id for notification in notifications]

    # What must hold

    def billed_periods(self, order):
        """Return the first day of each billed period of an order, and that of the next, in order.

        :return: ``[("YYYY-MM-DD", "YYYY-MM-DD"), …]``
        :rtype: list
        """
        periods = order.sudo().period_ids.filtered(lambda period: period.state != "cancelled").sorted("date_start")
        return [(str(period.date_start), str(period.date_end)) for period in periods]

    def assertNoOverlap(self, order):
        """Check that no day of an order is billed twice."""
        periods = self.billed_periods(order)
        for (_start, end), (next_start, _next_end) in pairwise(periods):
            self.assertLessEqual(end, next_start, f"billed twice: {periods}")

    @contextmanager
    def assertRefused(self, words):
        """Check that a refusal tells the user why, with these words (a regular expression).

        Nothing is rolled back: what was written before the refusal can be seen, which a test may check.
        """
        with self.assertRaisesRegex(UserError, words):
            yield

    def assertDates(self, order, **dates):
        """Check date fields of an order.

        :param dict dates: ``YYYY-MM-DD`` or False by field name
        """
        self.assertEqual({name: order[name] and fields.Date.to_string(order[name]) for name in dates}, dates)

    def assertLedgerAgrees(self, orders):
        """Check that the movements of each order sum up to what it brings, in each currency, to the cent (P9)."""
        self.flush_chatter()
        for order in orders.sudo():
            sums = dict(
                self.env["sale.subscription.movement"]._read_group(
                    [("order_id", "=", order.id)], ["currency_id"], ["amount:sum"]
                )
            )
            live = order.recurring_monthly if order.subscription_state == "progress" else 0
            booked = {order.currency_id: 0, **sums}
            for currency, amount in booked.items():
                expected = live if currency == order.currency_id else 0
                self.assertFalse(
                    currency.compare_amounts(amount, expected),
                    f"{order.name} brings {expected} {currency.name}, and the ledger has {amount}",
                )
