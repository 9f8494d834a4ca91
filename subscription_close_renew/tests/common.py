"""Helpers for tests about subscriptions, also for addons that extend this one.

A test reads as a story: it is 31 January 2027, noon, and ::

    order = self.subscription()  # confirmed today, one coffee a month
    self.invoice(order)  # January is invoiced
    order.subscription_close(self.reason.id, when="period_end")
    self.expire(until="2027-02-28")  # the scheduled action runs on 28 February
    self.assertEqual(order.subscription_state, "churned")

Records have the access rights of their usual user: an order those of its salesperson, an invoice those of the
accountant. `self.env` has all rights and is meant for preparing data.
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

from odoo.addons.subscription_close_renew.tools.guard import as_method


@freeze_time("2027-01-31 12:00:00")
class SubscriptionCommon(TransactionCase):
    """A separate company in UTC, with plans, products, close reasons, a customer and five kinds of users.

    Class attributes:

    * ``company``: the company of the test; demo data and other companies are not affected
    * ``weekly``, ``monthly``, ``yearly``: recurring plans
    * ``recurring_product`` (100.0 a period), ``one_time_product`` (30.0)
    * ``reason`` (shown in the portal), ``hidden_reason``, ``archived_reason``
    * ``customer``: partner of ``portal_user``
    * ``bank_journal``: receives the payments of :meth:`register_payment`
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
        # Without password mails, as tests check the mails sent.
        cls.env = cls.env(context={**cls.env.context, "no_reset_password": True})
        cls.company = cls.make_company("Subscription Company")
        cls.env = api.Environment(cls.cr, cls.env.uid, {**cls.env.context, "allowed_company_ids": cls.company.ids})
        cls.company = cls.company.with_env(cls.env)
        cls._make_users()
        cls._make_bank()
        cls._make_catalogue()
        # A run in the test's future would catch up on the subscriptions of the demo data.
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
        """Return a new company that can post invoices without loading a chart of accounts.

        :param str name: name of the company
        :param str tz: time zone of the company's contact, which its dates follow
        :rtype: res.company
        """
        # Odoo's own logo would be resized five times for each company.
        values = {"name": name, "currency_id": cls.env.ref("base.USD").id, "logo": False}
        company = cls._without_chatter("res.company").create(values).with_env(cls.env)
        # Writing to a currency clears caches that are slow to fill.
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
        :param companies: the user's companies, the main one first; by default, the company of the test
        :rtype: res.users
        """
        return cls.make_users({name: groups}, companies)

    @classmethod
    def make_users(cls, groups_of, companies=None):
        """Return new users; creating several at once takes a third of the time.

        :param dict groups_of: groups as for :meth:`make_user`, by name
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
        """Return a model that creates records without messages, followers and tracking, as no test checks these."""
        return cls.env[model].with_context(tracking_disable=True, mail_notrack=True)

    def setUp(self):
        with self._keep_caches():
            super().setUp()

    @classmethod
    def _keep_caches(cls, of_class=False):
        """Return a context manager in which clearing all caches clears only those invalidated after this call.

        Odoo clears all caches after each test and class; rereading views and routes then takes half the time of a page.

        :param bool of_class: whether to clear also the caches cleared within earlier calls
        """
        registry, before = cls.registry, dict(cls.registry.cache_sequences)

        def clear():
            signalled = {name for name, sequence in registry.cache_sequences.items() if sequence != before[name]}
            invalidated = signalled | registry.cache_invalidated
            cls.caches_invalidated |= invalidated
            if of_class:
                # The records of the class are gone, too.
                invalidated = cls.caches_invalidated
            if invalidated:
                registry.clear_cache(*invalidated)
            registry.cache_invalidated.clear()

        return patch.object(registry, "clear_all_caches", clear)

    @classmethod
    def made_once(cls, name, **kwargs):
        """Return the records created by a helper method, for use by all tests of a class.

        Meant for :meth:`setUpClass`, where no test is running yet that a scheduled action could belong to.

        :param str name: name of the method, such as one that bills a subscription
        :param dict kwargs: arguments of the method
        """
        story = cls(name)
        with patch.object(module, "current_test", story):
            return getattr(story, name)(**kwargs)

    # Actions of users

    @classmethod
    def line(cls, product=None, quantity=1, **values):
        """Return the command that adds a line to an order.

        :param product: by default, the recurring product
        :param float quantity: ordered quantity
        """
        product = product or cls.recurring_product
        return Command.create({"product_id": product.id, "product_uom_qty": quantity, **values})

    @classmethod
    def quotation(cls, plan=None, start=None, lines=None, user=None, company=None, **values):
        """Return a quotation with a recurring plan, in the environment of its salesperson.

        :param plan: recurring plan (by default, monthly), or False for an ordinary quotation
        :param str start: first day, ``YYYY-MM-DD``; by default, the day of the confirmation
        :param list lines: commands as returned by :meth:`line`; by default, one recurring product
        :param user: the salesperson (by default, ``salesperson``)
        :param company: company of the quotation (by default, the company of the test)
        :param dict values: other fields of the order
        :rtype: sale.order
        """
        user = user or cls.salesperson
        orders = cls.env["sale.order"].with_user(user)
        if company:
            orders = orders.with_context(allowed_company_ids=company.ids)
        env = orders.env
        if "subscription_id" in values:
            # As if Renew had created it, but without requiring a paid invoice first.
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
        # Otherwise the chatter would list each field that Odoo fills in while it creates an order.
        cls.env.flush_all()
        order._track_discard()
        cls.flush_chatter()
        return order

    @classmethod
    def subscription(cls, **values):
        """Return a subscription in progress, in the environment of its salesperson.

        :param dict values: arguments of :meth:`quotation`
        :rtype: sale.order
        """
        order = cls.quotation(**values)
        order.action_confirm()
        cls.flush_chatter()
        return order

    @classmethod
    def invoice(cls, order, post=True):
        """Return an invoice of the next period of a subscription, in the environment of the accountant.

        One-time lines are invoiced with the first period.

        :param order: a running subscription
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
        """Make a draft invoice bill part of the first period, as if it had been created while that period was open.

        :param invoice: a draft `account.move`, as returned by :meth:`invoice`
        :param dict values: other fields of its lines
        """
        january = {"subscription_period_start": "2027-01-31", "subscription_period_end": "2027-02-28"}
        as_method(invoice.invoice_line_ids).write({**january, **values})

    @classmethod
    def reset(cls, invoice):
        """Reset a posted invoice to draft, as the accountant does to correct it.

        :param invoice: a posted `account.move`
        """
        invoice.button_draft()
        cls.flush_chatter()

    @classmethod
    def register_payment(cls, invoice):
        """Register the payment of an invoice manually, as the accountant does."""
        wizards = cls.env["account.payment.register"].with_user(cls.accountant)
        wizard = wizards.with_context(active_model="account.move", active_ids=invoice.ids).create({})
        wizard._create_payments()
        cls.flush_chatter()

    @classmethod
    def paid_subscription(cls, **values):
        """Return a subscription that can be renewed: its first period is invoiced and paid.

        :param dict values: arguments of :meth:`subscription`
        :rtype: sale.order
        """
        order = cls.subscription(**values)
        cls.register_payment(cls.invoice(order))
        return order

    @classmethod
    def renewal(cls, order, user=None):
        """Return the quotation that renews a subscription, created or found by the button Renew.

        :param order: a subscription that can be renewed
        :param user: who presses the button (by default, the user of the order)
        :rtype: sale.order
        """
        order = order.with_user(user) if user else order
        renewal = order.browse(order.subscription_renew())
        cls.flush_chatter()
        return renewal

    @classmethod
    def renewed_by(cls, order):
        """Renew a subscription and return the confirmed renewal; see :meth:`renewal`.

        :rtype: sale.order
        """
        renewal = cls.renewal(order)
        renewal.action_confirm()
        cls.flush_chatter()
        return renewal

    @classmethod
    def paused_subscription(cls, resume_date=None, **values):
        """Return a subscription paused immediately; see :meth:`subscription`.

        :param str resume_date: the day on which it resumes automatically
        :rtype: sale.order
        """
        order = cls.subscription(**values)
        order.subscription_pause(resume_date)
        cls.flush_chatter()
        return order

    @classmethod
    def churned_subscription(cls, invoiced=False, **values):
        """Return a subscription closed immediately; see :meth:`subscription`.

        :param bool invoiced: whether its first period is invoiced first
        :rtype: sale.order
        """
        order = cls.subscription(**values)
        if invoiced:
            cls.invoice(order)
        order.subscription_close(cls.reason.id)
        cls.flush_chatter()
        return order

    # Time

    @staticmethod
    def on(moment):
        """Return a context manager that sets the time (UTC).

        :param str moment: ``YYYY-MM-DD`` (noon) or ``YYYY-MM-DD HH:MM``
        """
        return freeze_time(moment if " " in moment else f"{moment} 12:00:00")

    def expire(self, until="2027-03-01"):
        """Run the scheduled action that performs planned changes, as the scheduler does.

        :param str until: time of the run, as for :meth:`on`
        """
        with self.on(until):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_expiration")

    def bill(self, until="2027-01-31"):
        """Run the scheduled action that invoices and charges due periods, as the scheduler does.

        :param str until: time of the run, as for :meth:`on`
        """
        with self.on(until):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_billing")

    def renew(self, until="2027-02-28"):
        """Run the scheduled action that announces and performs automatic renewals, as the scheduler does.

        :param str until: time of the run, as for :meth:`on`
        """
        with self.on(until):
            self.run_scheduled_action("subscription_close_renew.ir_cron_subscription_renewal")

    def run_scheduled_action(self, xml_id):
        """Run a scheduled action as the scheduler does: with another cursor, commits and several passes.

        :param str xml_id: external id of an `ir.cron`
        """
        self.flush_chatter()
        with self.other_transactions():
            self.env.ref(xml_id).method_direct_trigger()
        self.env.invalidate_all()

    def click(self, records, method_name):
        """Call a method as a button does: in its own transaction, which it may commit.

        :param records: in the environment of the user who clicks
        :param str method_name: name of a method without parameters
        :return: the result of the method
        """
        self.flush_chatter()
        with self.other_transactions(), self.registry.cursor() as cr:
            result = getattr(records.with_env(records.env(cr=cr)), method_name)()
            cr.flush()
        self.env.invalidate_all()
        return result

    @contextmanager
    def other_transactions(self):
        """Make the changes of this test visible to other cursors, and roll back their commits at its end."""
        if type(self)._registry_patched:  # An HttpCase does this for every test.
            yield
        else:
            with self.enter_registry_test_mode():
                yield

    # Chatter and results

    @classmethod
    def flush_chatter(cls):
        """Post the pending tracking messages, as at the end of a transaction."""
        cls.env.flush_all()
        cls.cr.flush()

    def last_message(self, order):
        """Return the latest message in the chatter of an order, with all access rights.

        :rtype: mail.message
        """
        self.flush_chatter()
        return order.sudo().message_ids.sorted("id")[-1:]

    def chatter(self, order):
        """Return the text of all messages of an order, oldest first, each starting on a new line.

        :rtype: str
        """
        self.flush_chatter()
        return "\n".join(html2plaintext(message.body) for message in order.sudo().message_ids.sorted("id"))

    def changes(self, message):
        """Return the field changes tracked by a chatter message.

        :param message: `mail.message`
        :return: ``{field name: (old, new)}``, as displayed; dates as ``YYYY-MM-DD``
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
        """Return the invoices of an order, including drafts, in order of creation, as the accountant.

        :rtype: account.move
        """
        return order.sudo().invoice_ids.sorted("id").with_user(self.accountant)

    def movements(self, orders):
        """Return the movements of orders in the MRR ledger, in order of creation.

        :return: ``[(kind, "YYYY-MM-DD", amount), …]``
        :rtype: list
        """
        self.flush_chatter()
        movements = orders.sudo().movement_ids.sorted("id")
        return [(movement.kind, str(movement.date), movement.amount) for movement in movements]

    def mails(self, record, partner=None):
        """Return the messages about a record that were mailed to a partner, one entry per mail.

        :param partner: the recipient (by default, the customer)
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

    # Assertions

    def billed_periods(self, order):
        """Return the first day of each billed period of an order and of the next one, in order.

        :return: ``[("YYYY-MM-DD", "YYYY-MM-DD"), …]``
        :rtype: list
        """
        periods = order.sudo().period_ids.filtered(lambda period: period.state != "cancelled").sorted("date_start")
        return [(str(period.date_start), str(period.date_end)) for period in periods]

    def assertNoOverlap(self, order):
        """Assert that no day of an order is billed twice."""
        periods = self.billed_periods(order)
        for (_start, end), (next_start, _next_end) in pairwise(periods):
            self.assertLessEqual(end, next_start, f"billed twice: {periods}")

    @contextmanager
    def assertRefused(self, words):
        """Assert that a `UserError` with this message (a regular expression) is raised.

        Nothing is rolled back, so a test can check that nothing was written before the refusal.
        """
        with self.assertRaisesRegex(UserError, words):
            yield

    def assertDates(self, order, **dates):
        """Assert the values of date fields of an order.

        :param dict dates: ``YYYY-MM-DD`` or False, by field name
        """
        self.assertEqual({name: order[name] and fields.Date.to_string(order[name]) for name in dates}, dates)

    def assertLedgerAgrees(self, orders):
        """Assert that the movements of each order add up to its MRR, in each currency, to the cent (P9)."""
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
