"""A shop and its payment provider, whose processes are killed and restarted, controlled from outside."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from devtools import cache, process, project
from devtools.database import Databases
from devtools.odoo import Odoo
from devtools.tests import free_port
from testing import fake_provider
from testing.crash import REFUSED, audit
from testing.crash.audit import Books, Run

ADDONS = project.ROOT / "testing" / "addons"
OPENED = "2027-01-31 12:00"
"""When the shop opens, and sells its subscriptions."""
PATIENCE = 0.6
"""Seconds that Odoo waits for the provider here."""
SLOW, LATE = 0.2, 1.0
"""Seconds that the provider takes when it is slow, and when it answers too late."""
_PATIENCE = 120
"""Seconds after which nothing more is to be expected."""
_TOO_OFTEN = 40
"""Runs after which a shop should be at rest: Odoo ends a scheduled action after ten seconds, and starts it again."""
BILLING = "subscription_close_renew.ir_cron_subscription_billing"
POST_PROCESSING = "payment.cron_post_process_payment_tx"
SENDING = "account.ir_cron_account_move_send"
DEEDS = {
    "delete-draft": "",
    "cancel-draft": "",
    "post-draft": "",
    "reset-invoice": "",
    "reset-and-cancel-invoice": "",
    "credit-invoice": "",
    "register-payment": "",
    "invoice-by-hand": "",
    "invoice-by-hand-and-untick": "taken over",
    "invoice-by-hand-untick-and-pay": "paid",
    "untick": "unpaid",
    "resolve-as-paid": "paid",
    "resolve-as-unpaid": "unpaid",
    "cancel-order": "",
    "close": "",
    "close-and-reopen": "",
    "pause": "",
    "remove-card": "",
    "bill-now": "",
}
"""What people may try, and what they say by it about the payments whose outcome is unknown."""

_NEXT_DAY = """
UPDATE ir_cron SET nextcall = now() AT TIME ZONE 'UTC' - INTERVAL '1 hour'
 WHERE id IN (SELECT id FROM ir_cron WHERE active FOR NO KEY UPDATE SKIP LOCKED)
"""
"""Odoo puts an action off to the next day whose process has ended three times: here, that comes at once."""
_BOOKS = """
WITH shop AS (SELECT id FROM res_company WHERE name = 'Killed Company'),
orders AS (
    SELECT o.id, p.name AS token, o.next_invoice_date, coalesce(o.payment_exception, FALSE) AS payment_exception,
           o.subscription_state AS state, o.payment_token_id IS NOT NULL AS card,
           ARRAY(SELECT coalesce(a.summary, '') FROM mail_activity a
                  WHERE a.res_model = 'sale.order' AND a.res_id = o.id ORDER BY a.id) AS activities
      FROM sale_order o JOIN res_partner p ON p.id = o.partner_id
     WHERE o.company_id IN (TABLE shop)
     ORDER BY o.id
),
transactions AS (
    SELECT x.reference, x.state, x.amount, p.name AS token, x.operation, coalesce(x.subscription_amount_mismatch, FALSE) AS mismatch,
           x.state = 'draft' OR x.is_post_processed AS processed,
           ARRAY(SELECT r.invoice_id FROM account_invoice_transaction_rel r WHERE r.transaction_id = x.id) AS invoices
      FROM payment_transaction x JOIN res_partner p ON p.id = x.partner_id
     WHERE x.company_id IN (TABLE shop)
     ORDER BY x.id
),
invoices AS (
    SELECT m.id, m.state, m.amount_total AS amount, m.payment_state IN ('paid', 'in_payment') AS paid,
           m.amount_total - m.amount_residual AS settled, p.name AS token, m.create_uid != 1 AS by_hand,
           (SELECT count(*) FROM mail_message l
             WHERE l.model = 'account.move' AND l.res_id = m.id AND l.message_type = 'comment') AS mails
      FROM account_move m JOIN res_partner p ON p.id = m.partner_id
     WHERE m.move_type = 'out_invoice' AND m.company_id IN (TABLE shop)
     ORDER BY m.id
),
payments AS (
    SELECT y.id, y.amount, y.payment_transaction_id IS NULL AS by_hand, p.name AS token
      FROM account_payment y JOIN res_partner p ON p.id = y.partner_id
     WHERE y.payment_type = 'inbound' AND y.state IN ('in_process', 'paid') AND y.company_id IN (TABLE shop)
     ORDER BY y.id
),
periods AS (
    SELECT p.order_id AS "order", p.date_start AS start, p.date_end AS end, p.state, p.retry_date AS retry,
           ARRAY(SELECT r.invoice_id FROM sale_subscription_period_invoice_rel r WHERE r.period_id = p.id) AS invoices
      FROM sale_subscription_period p
     WHERE p.state != 'cancelled' AND p.company_id IN (TABLE shop)
     ORDER BY p.order_id, p.date_start
)
SELECT jsonb_build_object(
    'orders', (SELECT coalesce(jsonb_agg(orders), '[]') FROM orders),
    'transactions', (SELECT coalesce(jsonb_agg(transactions), '[]') FROM transactions),
    'invoices', (SELECT coalesce(jsonb_agg(invoices), '[]') FROM invoices),
    'payments', (SELECT coalesce(jsonb_agg(payments), '[]') FROM payments),
    'periods', (SELECT coalesce(jsonb_agg(periods), '[]') FROM periods)
)
"""


class Prefork:
    """Odoo on one database, loaded once and forked for each run."""

    def __init__(self, odoo: Odoo, database: str):
        self.database = database
        self.log = cache.log(f"crash-{database}.log")
        command = [odoo.environment.python, "-m", "testing.crash.prefork", "-c", odoo.config, "-d", database]
        variables = {**odoo.variables(), "PYTHONPATH": str(project.ROOT), "FAKE_PROVIDER_PATIENCE": str(PATIENCE)}
        self._child = process.start(
            [*command, "--log-level=warn", "--smtp=127.0.0.1", "--smtp-port=9"],
            cwd=project.ROOT,
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            text=True,
        )
        self._answer()

    def ask(self, **command) -> dict:
        """Send a command and return its result."""
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()
        return self._answer()

    def run(self, name: str, at: str, **arguments) -> None:
        """Run an action that must succeed."""
        status = self.ask(do=name, at=at, **{"with": arguments})["status"]
        assert status == 0, f"{name} ended with {status}: see {self.log}\n{self.tail()}"

    def tail(self) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def close(self) -> None:
        """End it."""
        process.stop(self._child)

    def _answer(self) -> dict:
        line = self._child.stdout.readline()
        assert line, f"Odoo stopped unexpectedly: see {self.log}\n{self.tail()}"
        return json.loads(line)


class Provider:
    """The provider's process."""

    def __init__(self, folder: Path):
        self.path = folder / "ledger.jsonl"
        self.path.write_text("")
        command = [sys.executable, fake_provider.__file__, self.path, "--slow", str(SLOW), "--late", str(LATE)]
        self._child = process.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{self._child.stdout.readline().strip()}"

    def ledger(self) -> list[dict]:
        """Return all facts so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def tell(self, path: str, **what) -> dict:
        """Post to one of its addresses and return the answer."""
        status, text = fake_provider.post(self.url + path, what)
        assert status == 200, text
        return json.loads(text)

    def close(self) -> None:
        """End it."""
        process.stop(self._child)


class Workers:
    """Odoo as in production: a process whose children answer requests and run the scheduled actions."""

    def __init__(self, odoo: Odoo, database: str, environment: dict[str, str]):
        self.log = cache.log(f"workers-{database}.log")
        self.port, gevent_port = free_port(), free_port()
        arguments = ["--workers=2", "--max-cron-threads=1", "--http-port", str(self.port), "--log-level=warn"]
        arguments += [f"--gevent-port={gevent_port}", f"--db-filter=^{database}$", "--smtp=127.0.0.1", "--smtp-port=9"]
        production = Path(__file__).with_name("production.py")
        with self.log.open("a") as stream:
            self._child = process.start(
                [odoo.environment.python, production, "server", "-c", odoo.config, "-d", database, *arguments],
                cwd=project.ROOT,
                env={**odoo.variables(), **environment, "FAKE_PROVIDER_PATIENCE": str(PATIENCE)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """Kill the parent: its children notice when they finish their current work."""
        os.kill(self._child.pid, signal.SIGKILL)
        self._child.wait()

    def close(self) -> None:
        """Kill all of them at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()


class Stage:
    """A shop in a database of its own, its provider, and what has happened so far."""

    def __init__(self, databases: Databases, prefork: Prefork, folder: Path):
        self._databases = databases
        self._sql = databases.sql
        self.prefork = prefork
        self.provider = Provider(folder)
        self.runs: list[Run] = []
        self.accepted: list[str] = []
        self.story: list[str] = []

    def sell(self, cards: dict[str, str], at: str = OPENED) -> None:
        """Confirm a subscription for each card, starting on the given day."""
        self.prefork.run("sell", at, cards=cards)

    def bill(self, at: str, environment: dict[str, str] | None = None, kill_after: float | None = None) -> bool:
        """Run the scheduled action for billing, and return whether it was killed."""
        return self._scheduled(BILLING, at, environment, kill_after)

    def post_process(self, at: str, kill_after: float | None = None) -> bool:
        """Run Odoo's scheduled action that post-processes payments, and return whether it was killed."""
        return self._scheduled(POST_PROCESSING, at, None, kill_after)

    def send(self, at: str, environment: dict[str, str] | None = None, kill_after: float | None = None) -> bool:
        """Run Odoo's scheduled action that mails invoices, and return whether it was killed.

        No mail leaves the shop: all of them fail and are counted.
        """
        return self._scheduled(SENDING, at, environment, kill_after)

    @contextlib.contextmanager
    def working(self, kill_at: str, at_rest: Callable[[Books], bool]) -> Iterator[Callable[[int], None]]:
        """Run Odoo with workers, and yield a function that waits for bookings and kills the parent.

        Another parent takes over at once, and works until nothing is left to do.

        :param kill_at: point at which workers of the first parent die
        """
        names = ", ".join(f"'{xml_id.partition('.')[2]}'" for xml_id in (BILLING, POST_PROCESSING, SENDING))
        theirs = f"SELECT res_id FROM ir_model_data WHERE model = 'ir.cron' AND name IN ({names})"
        self._sql(f"UPDATE ir_cron SET active = id IN ({theirs})", self.prefork.database)
        known, first = self._known(), len(self.provider.ledger())
        with contextlib.ExitStack() as stack:

            def start(**environment) -> Workers:
                workers = Workers(self._databases.odoo, self.prefork.database, {**self._environment(), **environment})
                stack.callback(workers.close)
                webhook = f"http://127.0.0.1:{workers.port}/payment/fake/webhook"
                self.provider.tell("/control", webhook=webhook)
                return workers

            def kill_parent(bookings: int) -> None:
                self._wait_until(
                    lambda ledger: sum(line["kind"] == "booked" for line in ledger[first:]) >= bookings, wake=True
                )
                workers.kill()

            workers = start(**({"KILL_AT": kill_at} if kill_at else {}))
            yield kill_parent
            workers = start()
            self._wait_until(lambda _ledger: at_rest(self.books()), wake=True)
            self.story.append(f"worked on its own, {kill_at or 'no worker'} killed, nor the parent spared")
        self.provider.tell("/control", webhook="")
        self.runs.append(Run(first, len(self.provider.ledger()), known))

    @contextlib.contextmanager
    def billing_meanwhile(self, at: str, breaks: bool = False, bookings: int = 0) -> Iterator[None]:
        """Run the billing, and yield once it has asked a provider that holds its answer back.

        :param breaks: whether the run may break off because of that
        :param bookings: number of bookings before that
        """
        known, first = self._known(), len(self.provider.ledger())
        environment = {**self._environment(), "FAKE_PROVIDER_PATIENCE": "40"}
        self.prefork.ask(
            do="scheduled", at=at, meanwhile=True, environment=environment, **{"with": {"xml_id": BILLING}}
        )
        self._wait_until(
            lambda ledger: (
                any(line["kind"] == "request" for line in ledger[first:]) and len(audit.booked(ledger)) >= bookings
            )
        )
        try:
            yield
        finally:
            self.provider.tell("/control", release=True)
            ended = self.prefork.ask(do="join")
            self.runs.append(Run(first, len(self.provider.ledger()), known))
            self.story.append(f"{at} the billing ended: {ended}")
        assert breaks or ended["status"] == 0, f"It failed: see {self.prefork.log}\n{self.prefork.tail()}"

    def try_by_hand(self, at: str, deed: str, token: str) -> bool:
        """Perform a person's action on a subscription, and return whether it was accepted."""
        unknown = self.unknown(token)
        status = self.prefork.ask(do="try_by_hand", at=at, **{"with": {"deed": deed, "token": token}})["status"]
        done = status == 0
        self.story.append(f"{at} {deed} of {token}: {'done' if done else f'refused ({status})'}")
        assert status in (0, REFUSED), f"It failed: see {self.prefork.log}\n{self.prefork.tail()}"
        if done and DEEDS[deed]:
            for reference in unknown:
                self.provider.tell("/note", kind="resolved", reference=reference, token=token, outcome=DEEDS[deed])
        if done and deed in ("close", "cancel-order"):
            self.provider.tell("/note", kind="closed", token=token, reference="")
        return done

    def open_checkout(self, at: str, token: str, reference: str) -> None:
        """Start a customer's payment on the provider's page."""
        self.prefork.run("open_checkout", at, token=token, reference=reference, opened=at)
        self.story.append(f"{at} a checkout of {token} was opened: {reference}")

    def check_out(self, at: str, reference: str, mode: str) -> None:
        """Finish a checkout, of which the provider notifies the shop."""
        [checkout] = [each for each in self.books().transactions if each["reference"] == reference]
        facts = {key: checkout[key] for key in ("reference", "token", "amount")}
        self.provider.tell("/checkout", mode=mode, currency="USD", **facts)
        self.notify(at, reference)

    def notify(self, at: str, *references: str) -> None:
        """Send the provider's notifications, all or those of some charges; all of them must be accepted."""
        with self.open_for_notifications(at):
            met = self.provider.tell("/notify", references=references)
        self.story.append(f"{at} notified: {met}")
        assert set(met.values()) <= {200}, f"{met}\n{self.prefork.tail()}"

    @contextlib.contextmanager
    def open_for_notifications(self, at: str) -> Iterator[None]:
        """Serve requests in the meantime."""
        port = self.prefork.ask(do="serve", at=at, environment=self._environment())["port"]
        self.provider.tell("/control", webhook=f"http://127.0.0.1:{port}/payment/fake/webhook")
        try:
            yield
        finally:
            self.prefork.ask(do="stop")
            self.provider.tell("/control", webhook="")

    def rest(self, at: str) -> None:
        """Run the scheduled actions until nothing is left to do."""
        for _attempt in range(_TOO_OFTEN):
            before = self._progress()
            if not all(transaction["processed"] for transaction in self.books().transactions):
                self.post_process(at)
            self.bill(at)
            if self._progress() == before:
                return
        raise AssertionError("It does not come to rest:\n" + "\n".join(self.told()))

    def resolve(self, at: str) -> int:
        """Resolve each exception as a person reading the ledger does, and return their number."""
        books, ledger = self.books(), self.provider.ledger()
        booked = audit.booked(ledger)
        exceptions = [order for order in books.orders if order["payment_exception"]]
        for order in exceptions:
            unknown = self.unknown(order["token"])
            paid = [reference for reference in unknown if reference in booked]
            outcome = "paid" if paid else "unpaid"
            self.story.append(f"{at} resolved: {unknown} of {order['token']} is {outcome}")
            reference = (paid or unknown or [""])[-1]
            self.prefork.run("resolve", at, order=order["id"], outcome=outcome, reference=reference)
            for reference in unknown:
                facts = {"reference": reference, "token": order["token"], "outcome": outcome}
                self.provider.tell("/note", kind="resolved", **facts)
        return len(exceptions)

    def unknown(self, token: str) -> list[str]:
        """Return the charges of a card whose outcome is unknown in the books."""
        return [
            each["reference"] for each in self.books().transactions if each["token"] == token and audit.is_unknown(each)
        ]

    def change(self, token: str, mode: str) -> None:
        """Change how a card is treated from now on."""
        self.provider.tell("/control", token=token, mode=mode)
        self.story.append(f"{token} is now {mode}")

    def accept(self, token: str) -> None:
        """Make a card work from now on."""
        self.accepted.append(token)
        self.change(token, "ok")

    def totals(self) -> dict[str, float]:
        """Return the totals of invoices, periods and charges."""
        books = self.books()
        booked = [line["amount"] for line in self.provider.ledger() if line["kind"] == "booked"]
        posted = [invoice for invoice in books.invoices if invoice["state"] == "posted"]
        return {
            "periods": len(books.periods),
            "invoices": len(posted),
            "invoiced": sum(invoice["amount"] for invoice in posted),
            "paid": sum(invoice["amount"] for invoice in posted if invoice["paid"]),
            "charges": len(booked),
            "charged": sum(booked),
        }

    def told(self) -> list[str]:
        """Return a readable record of all events."""
        rows = [row for rows in self.books() for row in rows]
        return [*self.story, "The ledger:", *map(str, self.provider.ledger()), "The books:", *map(str, rows)]

    def books(self) -> Books:
        """Return the current contents of the database."""
        [[text]] = self._sql(_BOOKS, self.prefork.database)
        return Books(**json.loads(text))

    def close(self) -> None:
        """End the provider."""
        self.provider.close()

    def _progress(self) -> list[dict]:
        """Return the books without transactions that the provider did not process, as each run adds one."""
        refused = audit.not_looked_at(self.provider.ledger())
        return [row for rows in self.books() for row in rows if row.get("reference") not in refused]

    def _scheduled(self, xml_id: str, at: str, environment: dict[str, str] | None, kill_after: float | None) -> bool:
        known, first = self._known(), len(self.provider.ledger())
        environment = {**self._environment(), **(environment or {})}
        options = {} if kill_after is None else {"kill_after": kill_after}
        ended = self.prefork.ask(
            do="scheduled", at=at, environment=environment, **{"with": {"xml_id": xml_id}}, **options
        )
        self.runs.append(Run(first, len(self.provider.ledger()), known))
        self.story.append(f"{at} {xml_id.partition('.')[2]} {environment.get('KILL_AT', '')}: {ended}")
        assert ended["status"] in (0, -9), f"It failed: see {self.prefork.log}\n{self.prefork.tail()}"
        return ended["status"] == -9

    def _known(self) -> dict[str, str]:
        return {transaction["reference"]: transaction["state"] for transaction in self.books().transactions}

    def _wait_until(self, met: Callable[[list[dict]], bool], wake: bool = False) -> None:
        """Wait until the ledger meets a condition.

        :param wake: whether to wake the workers regularly
        """
        end = time.monotonic() + _PATIENCE
        while not met(self.provider.ledger()):
            assert time.monotonic() < end, "\n".join(["It did not come to that:", *self.told(), self.prefork.tail()])
            if wake:
                self._sql(_NEXT_DAY, self.prefork.database)
                self._sql(f"SELECT pg_notify('cron_trigger', '{self.prefork.database}')")
            time.sleep(0.5 if wake else 0.02)

    def _environment(self) -> dict[str, str]:
        return {"FAKE_PROVIDER_URL": self.provider.url, "FAKE_PROVIDER_ACCEPTED": ",".join(self.accepted)}
