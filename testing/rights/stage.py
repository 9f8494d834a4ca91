"""A company under attack, and its attackers.

Everything happens in one transaction. Each attempt has a cursor that behaves as in Odoo: an error rolls back what was
not committed. Afterwards, the whole attempt is rolled back.
"""

import contextlib
import inspect
import json
import re
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

KINDS = {
    "owner": "sales_team.group_sale_salesman",
    "nobody": None,
    "stranger": "base.group_portal",
    "colleague": "base.group_portal",
    "invoicing": "account.group_account_invoice",
    "own": "sales_team.group_sale_salesman",
    "all": "sales_team.group_sale_salesman_all_leads",
    "admin": "sales_team.group_sale_manager",
    "abroad": "sales_team.group_sale_manager,account.group_account_invoice",
}
"""Who tries, and their groups: see the page `table`."""

_WATCHED = {
    "sale_order": "id IN %(orders)s OR subscription_id IN %(orders)s",
    "sale_order_line": "order_id IN %(orders)s",
    "account_move": "id IN %(invoices)s OR reversed_entry_id IN %(invoices)s OR partner_id IN %(partners)s",
    "account_move_line": "move_id IN %(invoices)s OR subscription_id IN %(orders)s OR partner_id IN %(partners)s",
    "account_payment": "partner_id IN %(partners)s",
    "payment_transaction": "partner_id IN %(partners)s",
    "payment_token": "partner_id IN %(partners)s",
    "sale_subscription_period": "order_id IN %(orders)s",
    "sale_subscription_movement": "order_id IN %(orders)s",
    "mail_activity": "res_model = 'sale.order' AND res_id IN %(orders)s",
    "mail_message": "model = 'sale.order' AND res_id IN %(orders)s OR model = 'account.move' AND res_id IN %(invoices)s",
    "mail_mail": "TRUE",
    "res_partner": "id IN %(partners)s",
    "sale_subscription_plan": "id = %(plan)s",
    "sale_order_close_reason": "id = %(reason)s",
}


class Outcome(NamedTuple):
    """How an attempt ended."""

    sign: str
    """`+` done, `-` no access, `!` refused with a sentence, `?` something was forged"""
    changes: dict
    """What is another than before of what is the customer's: {table: what}"""
    said: str
    result: object

    def __str__(self):
        return f"{self.sign} {self.said[:150]} {self.changes or ''}"


class Forged(Exception):
    """A record has a value that only methods may write."""


class Stage:
    """The company, its customers and subscriptions, and the users who try to change records of others."""

    def __init__(self, registry, cr):
        from odoo import SUPERUSER_ID, api

        self.registry = registry
        self.cr = cr
        self.env = api.Environment(cr, SUPERUSER_ID, {})
        self.company, self.other_company = self._open_shops()
        self.users = {kind: self._make_user(kind, groups) for kind, groups in KINDS.items()}
        self._sell()
        self.env.flush_all()
        self.env.invalidate_all()
        self.before = self.seen()
        assert self.closing.is_closing and self.unknown.payment_exception and self.transaction.state == "done"
        assert self.announced.auto_renew_on

    # Data

    def _open_shops(self):
        from testing.crash import actions

        actions.open_shop(self.env, "Other Company")
        actions.open_shop(self.env)
        companies = self.env["res.company"].search(
            [("name", "in", ("Other Company", actions.COMPANY))], order="id desc"
        )
        return companies[0], companies[1]

    def _make_user(self, kind, groups):
        company = self.other_company if kind == "abroad" else self.company
        if not groups:
            return self.env.ref("base.public_user")
        values = {"name": kind.title(), "login": f"rights_{kind}", "email": f"{kind}@example.com"}
        values |= {"company_id": company.id, "company_ids": [(6, 0, company.ids)]}
        values["group_ids"] = [(6, 0, [self.env.ref(group).id for group in groups.split(",")])]
        user = self.env["res.users"].with_context(no_reset_password=True).create(values)
        if kind == "colleague":
            user.partner_id.parent_id = self.env["res.partner"].create({"name": "Victim & Sons", "is_company": True})
        return user

    def _sell(self):
        self.firm = self.users["colleague"].partner_id.parent_id
        self.customer = self.env["res.partner"].create(
            {"name": "Victim", "email": "victim@example.com", "parent_id": self.firm.id, "type": "contact"}
        )
        self.plan = self.env["sale.subscription.plan"].search([("name", "=", "Every month")], limit=1)
        self.plan.write({"user_closable": True, "user_renewable": True, "term_periods": 0})
        self.reason = self.env["sale.order.close.reason"].search([], limit=1)
        self.card = self.make_card(self.customer, self.company)
        self.order = self.sell(card=self.card)
        self._bill(self.order)
        self.renewal = self.order.browse(self.order.subscription_renew())
        self.closing = self.sell()
        self._bill(self.closing)
        self.paused = self.sell()
        self.paused.subscription_pause()
        self.churned = self.sell()
        self.churned.subscription_close(self.reason.id)
        self.unknown = self.sell(card=self.make_card(self.customer, self.company))
        self._bill(self.unknown, "unknown")
        # Scheduled by its customer to close at the end of the paid period.
        self.second_card = self.make_card(self.firm, self.company)
        self.ask("colleague", "/my/subscriptions/<int:order_id>/close", "POST", order=self.closing)
        self.announced = self.sell(term_periods=1, term_end_action="renew")
        self._bill(self.announced)
        self._announce()
        self.due = self.sell()
        self.ordinary = self.sell(plan_id=False)
        self.renewable = self.sell(card=self.card)
        self._bill(self.renewable)
        self.cancelled = self.order.browse(self.renewable.subscription_renew())
        self.cancelled.action_cancel()
        # The attackers' own records.
        self.cards = {
            "stranger": self.make_card(self.users["stranger"].partner_id, self.company),
            "abroad": self.make_card(self.users["abroad"].partner_id, self.other_company),
        }
        self.foreign = self.sell(company=self.other_company, partner=self.users["abroad"].partner_id, salesman="abroad")
        self.orders = self.order + self.renewal + self.closing + self.paused + self.churned
        self.orders += self.unknown + self.due + self.ordinary + self.renewable
        self.orders += self.cancelled + self.announced
        self.invoices = self.orders.invoice_ids | self.orders.period_ids.invoice_ids
        self.line = self.order.order_line[:1]
        self.period = self.order.period_ids[:1]
        self.invoice = self.period.invoice_ids[:1]
        self.invoice_line = self.invoice.invoice_line_ids[:1]
        self.movement = self.order.movement_ids[:1]
        self.transaction = self.invoice.transaction_ids[:1]
        self.unknown_transaction = self.unknown.period_ids.invoice_ids.transaction_ids[:1]
        self.env.flush_all()
        self.row = self.env["sale.subscription.report"].search([("order_id", "=", self.order.id)], limit=1)
        self.pop_ups = {
            f"sale.subscription.{name}.wizard": {"order_ids": [(6, 0, self.order.ids)]}
            for name in ("close", "pause", "renew")
        }
        self.pop_ups["sale.subscription.close.wizard"] |= {"reason_id": self.reason.id}
        self.pop_ups["sale.subscription.resolve.wizard"] = {"order_id": self.unknown.id, "outcome": "unpaid"}
        self.pop_up_ids = {
            model: self.env[model].with_user(self.users["owner"]).create(values).ids
            for model, values in self.pop_ups.items()
        }
        for document in (*self.orders, *self.invoices, self.foreign):
            document._portal_ensure_token()
        self.company.subscription_public_closing = True
        self.public_link = self._get_public_link()
        self.request = self.env["sale.subscription.close.request"].create(
            {"reference": self.order.name, "email": "victim@example.com", "order_id": self.order.id}
        )

    def _announce(self):
        """Announce the automatic renewal of a subscription to its customer."""
        self.env.flush_all()
        self.cr.execute("UPDATE sale_order SET auto_renew_on = end_date WHERE id = %s", [self.announced.id])
        self.env.invalidate_all()

    def _get_public_link(self):
        """Return the signed part of the public page's link mailed to the customer."""
        requests = self.env["sale.subscription.close.request"]
        requests.create({"reference": self.order.name, "email": self.customer.email})
        self.env.flush_all()
        with self.registry.cursor() as cr:
            requests.with_env(self.env(cr=cr))._cron_send_links()
        self.env.invalidate_all()
        mail = self.env["mail.mail"].search([("email_to", "=", self.customer.email)], order="id desc", limit=1)
        return re.search(r"/subscriptions/close/([\w.=%-]+)", mail.body_html)[1]

    def make_card(self, partner, company):
        """A stored card."""
        provider = self.env["payment.provider"].search([("code", "=", "fake"), ("company_id", "=", company.id)])
        return self.env["payment.token"].create(
            {
                "provider_id": provider.id,
                "payment_method_id": provider.payment_method_ids.id,
                "partner_id": partner.id,
                "provider_ref": "ok:1",
                "payment_details": "1",
            }
        )

    def sell(self, card=None, company=None, partner=None, salesman="owner", **values):
        """Return a confirmed monthly order of one product; without a plan, an ordinary order."""
        company = company or self.company
        env = self.env(context={"allowed_company_ids": company.ids})
        product = self.product(company, recurring=values.get("plan_id", True))
        order = env["sale.order"].create(
            {
                "partner_id": (partner or self.customer).id,
                "company_id": company.id,
                "user_id": self.users[salesman].id,
                "plan_id": self.plan.id,
                "payment_token_id": card and card.id,
                "order_line": [(0, 0, {"product_id": product.id})],
                **values,
            }
        )
        order.action_confirm()
        env.flush_all()
        return order

    def product(self, company, recurring=True):
        """Return the product of a company."""
        products = self.env["product.product"]
        if recurring:
            return products.search([("recurring_invoice", "=", True), ("company_id", "=", company.id)], limit=1)
        return products.create({"name": "Chair", "list_price": 10, "taxes_id": False, "company_id": company.id})

    def _bill(self, order, says="done"):
        self.env.flush_all()
        with self.provider(says), self.registry.cursor() as cr:
            order.with_env(
                self.env(cr=cr, context={"allowed_company_ids": order.company_id.ids})
            ).action_subscription_bill()
        self.env.invalidate_all()

    @contextlib.contextmanager
    def provider(self, says):
        """Make the fake provider answer without a network."""
        import requests

        from odoo.addons.payment.models.payment_provider import PaymentProvider

        def ask(_self, *_path, json, **_options):
            if says == "unknown":
                raise requests.Timeout
            return {**json, "status": says, "provider_reference": json["reference"], "message": says}

        with patch.object(PaymentProvider, "_send_api_request", ask):
            yield

    # Attempts

    @contextlib.contextmanager
    def undone(self):
        """Roll back all changes at the end."""
        self.env.flush_all()
        self.cr.execute("SAVEPOINT attempt")
        try:
            yield
        finally:
            self.cr.execute("ROLLBACK TO SAVEPOINT attempt")
            self.env.invalidate_all(flush=False)
            if self.registry.cache_invalidated:
                self.registry.clear_all_caches()
                self.registry.cache_invalidated.clear()

    def seen(self):
        """Return all of the customer's records, as stored in the database."""
        values = {"orders": tuple(self.orders.ids), "invoices": tuple(self.invoices.ids)}
        values["partners"] = (self.firm.id, self.customer.id)
        values |= {"plan": self.plan.id, "reason": self.reason.id}
        found = {}
        for table, which in _WATCHED.items():
            self.cr.execute(
                f"SELECT to_jsonb(t) - 'write_date' - 'write_uid' FROM {table} t WHERE {which} ORDER BY id", values
            )
            found[table] = [row for (row,) in self.cr.fetchall()]
        return found

    def changes(self, before):
        """Return the differences from the state before: {table: differences}."""
        changes = {}
        for table, rows in self.seen().items():
            old = {row["id"]: row for row in before[table]}
            new = {row["id"]: row for row in rows}
            found = [f"{id}: new" for id in new.keys() - old.keys()] + [f"{id}: gone" for id in old.keys() - new.keys()]
            for id in old.keys() & new.keys():
                found += [
                    f"{id}.{name}: {old[id][name]} -> {new[id][name]}"
                    for name in old[id]
                    if old[id][name] != new[id].get(name)
                ]
            if found:
                changes[table] = found
        return changes

    def effect(self, method, target, context):
        """Return the reproducible effect of a method that the salesperson calls with a context."""

        def plain(row):
            return {
                name: value
                for name, value in row.items()
                if not name.endswith("id")
                and (
                    isinstance(value, bool | float)
                    or (isinstance(value, str) and re.fullmatch(r"[a-z_]+|\d{4}-\d\d-\d\d", value))
                )
            }

        with self.undone():
            self._call_method("owner", "sale.order", method, target, context)
            found = []
            for table, rows in self.seen().items():
                old = {row["id"]: row for row in self.before[table]}
                for row in rows:
                    if row["id"] not in old:
                        found.append(f"{table}: new {plain(row)}")
                    elif row != old[row["id"]]:
                        new = {name: value for name, value in row.items() if value != old[row["id"]].get(name)}
                        found.append(f"{table}: {row['id']} {plain(new)}")
            return sorted(found)

    def _call_method(self, kind, model, method, target, context):
        arguments = {"reason_id": self.reason.id} if method == "subscription_close" else {}
        return self.call(kind, model, method, getattr(self, target).ids, context, **arguments)

    @contextlib.contextmanager
    def acting(self, kind, context=None):
        """Yield the environment of a user, with a context as received through JSON."""
        from odoo import api

        with self.registry.cursor() as cr:
            context = json.loads(json.dumps(context or {}))
            yield api.Environment(cr, self.users[kind].id, context)

    def call(self, kind, model, method, ids=(), context=None, **arguments):
        """Call a method as the external API does."""
        from odoo.models import BaseModel
        from odoo.service.model import get_public_method

        with self.acting(kind, context) as env, self.provider("done"):
            function = get_public_method(env[model], method)
            records = env[model].browse(ids)
            inspect.signature(function).bind(records, **arguments)
            result = function(records, **arguments)
            env.flush_all()
            return result.ids if isinstance(result, BaseModel) else result

    def call_on(self, kind, model, method, target):
        """Call a method as a user on the record named in a table row; the same user opens a pop-up first."""
        arguments = {
            "subscription_close": {"reason_id": self.reason.id},
            "renew_next": {"limit": 1},
        }.get(method, {})
        if target == "-":
            return self.call(kind, model, method, **arguments)
        records = getattr(self, target)
        if not model.endswith(".wizard"):
            return self.call(kind, model, method, records.ids, **arguments)
        values = {"order_ids": [(6, 0, records.ids)]}
        values |= {"reason_id": self.reason.id} if model == "sale.subscription.close.wizard" else {}
        values = {"order_id": records.id, "outcome": "unpaid"} if "resolve" in model else values
        wizard = self.call(kind, model, "create", vals_list=[values])
        return self.call(kind, model, method, wizard, **arguments)

    def handle(self, kind, model, method, target):
        """Create, read, write or delete a record that belongs or refers to the customer."""
        from odoo.exceptions import UserError

        if target == "pop_ups":
            values = self.pop_ups[model]
            record = self.pop_up_ids[model]
        else:
            values = self._get_new_values(model)
            record = getattr(self, target).ids
        if method == "create":
            self.call(kind, model, "create", vals_list=[values])
        elif method == "read":
            if not self.call(kind, model, "read", record, fields=["id", *list(values)[:1]]):
                raise UserError(model)
        elif method == "write":
            change = {"sale.order": {"note": "Forged"}, "payment.token": {"payment_details": "9"}}.get(model)
            self.call(kind, model, "write", record, vals=change or dict([next(iter(values.items()))]))
        else:
            self.call(kind, model, "unlink", record)

    def _get_new_values(self, model):
        order, product = self.order.id, self.line.product_id.id
        period = {"date_start": "2199-01-01", "date_end": "2199-02-01", "order_id": order}
        movement = {name: self.movement[name] for name in ("kind", "amount", "amount_company")} | {"date": "2026-01-01"}
        movement |= {
            name: self.movement[name].id
            for name in ("order_id", "origin_order_id", "currency_id", "company_id", "partner_id", "plan_id")
        }
        return {
            "sale.order": {"partner_id": self.customer.id},
            "sale.order.line": {"name": "Forged", "order_id": order, "product_id": product},
            "payment.token": {
                "provider_ref": "forged",
                "provider_id": self.card.provider_id.id,
                "payment_method_id": self.card.payment_method_id.id,
                "partner_id": self.customer.id,
            },
            "sale.subscription.period": period,
            "sale.subscription.movement": movement,
            "sale.subscription.report": {"order_id": order},
            "sale.subscription.close.request": {"email": "forged@example.com", "order_id": order},
            "sale.subscription.plan": {"name": "Forged"},
            "sale.order.close.reason": {"name": "Forged"},
        }[model]

    def forge(self, kind, model, name, way):
        """Write a field directly: on a record of the customer, or on an own record that then refers to it.

        :param way: `write`; on creation: `create`, as a value; `context`, as a default of the context; `default`, as a
            default value of the user
        """
        field = self.registry[model]._fields[name]
        value = self._get_forged(field)
        if way == "write":
            victim = {
                "sale.order": self.order,
                "sale.order.line": self.line,
                "account.move.line": self.invoice_line,
                "payment.transaction": self.transaction,
            }[model]
            self.call(kind, model, "write", victim.ids, vals={name: value})
            return
        context = {}
        values = {name: value} if way == "create" else {}
        if way == "context":
            context = {f"default_{name}": value}
        elif way == "default":
            self.call(kind, "ir.default", "set", model_name=model, field_name=name, value=value, user_id=True)
        made = self._make_own(kind, model, values, context)
        self._check_not_forged(model, made, field, value)

    # Over HTTP

    def ask(self, kind, address, verb, with_token=True, order=None):
        """Request an address as a user, and return the answer."""
        from werkzeug.test import Client

        import odoo.http
        from odoo.service.security import compute_session_token

        if not order:
            last = address.rsplit("/", 1)[-1]
            order = {
                "keep": self.closing,
                "renew": self.renewable,
                "not-renewing": self.announced,
                "do-not-renew": self.announced,
            }.get(last, self.order)
        path = re.sub(r"<int:order_id>", str(order.id), address).replace("<int:page>", "1")
        link = order.access_token if kind == "link" else self.foreign.access_token if kind == "other_link" else None
        path = path.replace("<string:token>", getattr(self, "public_link", "") if kind == "link" else "forged")
        session = odoo.http.root.session_store.new()
        session.update(odoo.http.get_default_session(), db=self.cr.dbname, _trace_disable=True)
        session.context["lang"] = "en_US"
        user = self.users.get(kind, self.env["res.users"])
        if user and user != self.users["nobody"]:
            session.uid, session.login = user.id, user.login
            session.session_token = compute_session_token(session, self.env(user=user.id))
        odoo.http.root.session_store.save(session)
        token = odoo.http.Request.csrf_token(SimpleNamespace(env=self.env, session=session))
        form = {"reason_id": str(self.reason.id), "token_id": str(self.second_card.id)}
        form |= {"reference": self.order.name, "email": self.customer.email}
        form |= {"data": json.dumps({"measure": "customers", "months": 12})}
        form |= {"csrf_token": token} if with_token else {}
        client = Client(odoo.http.root)
        client.set_cookie("session_id", session.sid, domain="localhost")
        query = {"access_token": link} if link and "order_id" in address else None
        posted = {"data": form} if verb == "POST" else {}
        posted |= {"query_string": query} if query else {}
        answer = client.open(path, method=verb, base_url="http://localhost", **posted)
        odoo.http.root.session_store.delete(session)
        return answer

    def ask_api(self, kind, model, method, ids, **arguments):
        """Call a method over HTTP with a user's API key or without one, and return the answer."""
        from werkzeug.test import Client

        import odoo.http

        headers = {"X-Odoo-Database": self.cr.dbname}
        if kind != "nobody":
            keys = self.env["res.users.apikeys"].with_user(self.users[kind])
            expires = datetime.now() + timedelta(days=1)
            headers["Authorization"] = f"Bearer {keys.sudo()._generate('rpc', 'Rights', expires)}"
            self.env.flush_all()
        client = Client(odoo.http.root)
        answer = client.post(f"/json/2/{model}/{method}", json={"ids": ids, **arguments}, headers=headers)
        self.env.invalidate_all()
        return answer

    def _get_forged(self, field):
        victims = {
            "sale.order": self.order,
            "sale.order.line": self.line,
            "payment.token": self.cards["stranger"],
            "sale.subscription.plan": self.plan.copy(),
            "sale.order.close.reason": self.reason,
        }
        match field.type:
            case "date":
                return "2026-12-05"
            case "datetime":
                return "2026-12-05 00:00:00"
            case "boolean":
                return field.name != "is_recurring"
            case "monetary" | "float":
                return 1000000.0
            case "char":
                return "forged"
            case "integer":
                return 99
            case "selection":
                return {"subscription_state": "churned", "term_end_action": "renew"}[field.name]
            case "many2one":
                return (victims.get(field.comodel_name) or self.env[field.comodel_name].search([], limit=1)).id
            case "one2many":
                return [(6, 0, [])] if field.name != "renewal_ids" else [(4, self.foreign.id)]

    def _make_own(self, kind, model, values, context):
        """Return the ids of an own record created with values."""
        company = self.other_company if kind == "abroad" else self.company
        partner = self.users[kind].partner_id.id
        line = {"product_id": self.product(company).id}
        if model == "sale.order":
            values = {"partner_id": partner, "plan_id": self.plan.id, "order_line": [(0, 0, line)], **values}
            return self.call(kind, "sale.order", "create", context=context, vals_list=[values])
        if model == "sale.order.line":
            line |= values
            values = {"partner_id": partner, "plan_id": self.plan.id, "order_line": [(0, 0, line)]}
            made = self.call(kind, "sale.order", "create", context=context, vals_list=[values])
            return self.env["sale.order"].browse(made).order_line.ids
        if model == "account.move.line":
            line = {"name": "Forged", "quantity": 1, "price_unit": 0, **values}
            values = {"move_type": "out_invoice", "partner_id": partner, "invoice_line_ids": [(0, 0, line)]}
            made = self.call(kind, "account.move", "create", context=context, vals_list=[values])
            self.call(kind, "account.move", "action_post", made)
            return self.env["account.move"].browse(made).line_ids.ids
        if model == "payment.transaction":
            values = {
                "provider_id": self.card.provider_id.id,
                "payment_method_id": self.card.payment_method_id.id,
                "reference": "forged",
                "amount": 1,
                "currency_id": self.company.currency_id.id,
                "partner_id": partner,
                **values,
            }
            return self.call(kind, model, "create", context=context, vals_list=[values])
        raise NotImplementedError(model)

    def _check_not_forged(self, model, made, field, value):
        """Raise if a created record has the forged value."""
        self.env.invalidate_all()
        for record in self.env[model].browse(made):
            found = field.convert_to_write(record[field.name], record)
            if field.type in ("date", "datetime"):
                found = field.to_string(record[field.name])
            if field.type != "one2many" and found == value:
                raise Forged(f"{record} has the {field.name} {value}")

    def names(self, text, by_id=True):
        """Return whether a text names one of the customer's orders, by number or id."""
        ids = set(map(int, re.findall(r"\b\d+\b", text))) if by_id else set()
        return any(order.name in text or order.id in ids for order in self.orders)

    def attempt(self, function, *arguments, **options):
        """Try something and roll it back.

        :rtype: Outcome
        """
        from odoo.exceptions import AccessError, UserError

        sign, said, result = "+", "", None
        with self.undone():
            try:
                result = function(*arguments, **options)
            except AccessError as error:
                sign, said = "-", str(error)
            except UserError as error:
                sign, said = "!", str(error)
            except Forged as error:
                sign, said = "?", str(error)
            return Outcome(sign, self.changes(self.before), said, result)


@contextlib.contextmanager
def in_one_transaction(registry, cr):
    """Make every cursor of Odoo part of one transaction that is never committed."""
    import odoo
    from odoo.tests.common import BaseCase

    test = SimpleNamespace(assertCanOpenTestCursor=lambda: None, test_cursor_lock_timeout=60)
    owner = SimpleNamespace(_registry_readonly_enabled=False)
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(odoo.modules.module, "current_test", test))
        for one in BaseCase._registry_test_mode_patches.__func__(owner, cr=cr, registry=registry):
            stack.enter_context(one)
        yield
