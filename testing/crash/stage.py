"""A shop and its payment provider, whose processes are killed and started again, seen from outside."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from devtools import cache, process, project
from devtools.database import Databases
from devtools.odoo import Odoo
from testing import fake_provider
from testing.crash.audit import Books, Run

ADDONS = project.ROOT / "testing" / "addons"
OPENED = "2027-01-31 12:00"
"""When the shop opens, and sells its subscriptions."""
PATIENCE = 0.6
"""Seconds that Odoo waits for the provider here."""
SLOW, LATE = 0.2, 1.0
"""Seconds that the provider takes when it is slow, and when it answers too late."""
_TOO_OFTEN = 40
"""Runs after which a shop should be at rest: Odoo ends a scheduled action after ten seconds, and starts it again."""
BILLING = "subscription_close_renew.ir_cron_subscription_billing"
POST_PROCESSING = "payment.cron_post_process_payment_tx"
SENDING = "account.ir_cron_account_move_send"

_BOOKS = """
WITH shop AS (SELECT id FROM res_company WHERE name = 'Killed Company'),
orders AS (
    SELECT o.id, t.provider_ref AS token, o.next_invoice_date, coalesce(o.payment_exception, FALSE) AS payment_exception
      FROM sale_order o JOIN payment_token t ON t.id = o.payment_token_id
     WHERE o.company_id IN (TABLE shop)
     ORDER BY o.id
),
transactions AS (
    SELECT x.reference, x.state, x.amount, t.provider_ref AS token,
           x.state = 'draft' OR x.is_post_processed AS processed,
           ARRAY(SELECT r.invoice_id FROM account_invoice_transaction_rel r WHERE r.transaction_id = x.id) AS invoices
      FROM payment_transaction x JOIN payment_token t ON t.id = x.token_id
     WHERE x.company_id IN (TABLE shop)
     ORDER BY x.id
),
invoices AS (
    SELECT m.id, m.state, m.amount_total AS amount, m.payment_state IN ('paid', 'in_payment') AS paid,
           (SELECT count(*) FROM mail_message l
             WHERE l.model = 'account.move' AND l.res_id = m.id AND l.message_type = 'comment') AS mails
      FROM account_move m
     WHERE m.move_type = 'out_invoice' AND m.company_id IN (TABLE shop)
     ORDER BY m.id
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
    'periods', (SELECT coalesce(jsonb_agg(periods), '[]') FROM periods)
)
"""


class Prefork:
    """Odoo on one database, loaded once, of which each run is a fork."""

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
        """Have a command carried out; what it comes to."""
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()
        return self._answer()

    def run(self, name: str, at: str, **arguments) -> None:
        """Run an action that has to succeed."""
        status = self.ask(do=name, at=at, **{"with": arguments})["status"]
        assert status == 0, f"{name} ended with {status}: see {self.log}\n{self.tail()}"

    def tail(self) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-40:])

    def close(self) -> None:
        """End it."""
        process.stop(self._child)

    def _answer(self) -> dict:
        line = self._child.stdout.readline()
        assert line, f"Odoo ended by itself: see {self.log}\n{self.tail()}"
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
        """All facts until now."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def tell(self, path: str, **what) -> dict:
        """Post to one of its addresses; the answer."""
        status, text = fake_provider.post(self.url + path, what)
        assert status == 200, text
        return json.loads(text)

    def close(self) -> None:
        """End it."""
        process.stop(self._child)


class Stage:
    """A shop in a database of its own, its provider, and what has happened so far."""

    def __init__(self, databases: Databases, prefork: Prefork, folder: Path):
        self._sql = databases.sql
        self.prefork = prefork
        self.provider = Provider(folder)
        self.runs: list[Run] = []
        self.story: list[str] = []

    def sell(self, cards: dict[str, str]) -> None:
        """Confirm a subscription for each card, which begins on the day that is given."""
        self.prefork.run("sell", OPENED, cards=cards)

    def bill(self, at: str, environment: dict[str, str] | None = None, kill_after: float | None = None) -> bool:
        """Run the scheduled action of the billing; whether it was killed."""
        return self._scheduled(BILLING, at, environment, kill_after)

    def post_process(self, at: str, kill_after: float | None = None) -> bool:
        """Run Odoo's scheduled action that completes payments; whether it was killed."""
        return self._scheduled(POST_PROCESSING, at, None, kill_after)

    def send(self, at: str) -> None:
        """Run Odoo's scheduled action that mails invoices. No mail leaves the shop: they fail, and are counted."""
        self._scheduled(SENDING, at, None, None)

    def notify(self, at: str) -> None:
        """Let the provider send its notifications, which all have to be taken."""
        with self.open_for_notifications(at):
            met = self.provider.tell("/notify")
        self.story.append(f"{at} notified: {met}")
        assert set(met.values()) <= {200}, f"{met}\n{self.prefork.tail()}"

    @contextlib.contextmanager
    def open_for_notifications(self, at: str) -> Iterator[None]:
        """Let Odoo answer requests meanwhile."""
        port = self.prefork.ask(do="serve", at=at, environment=self._environment())["port"]
        self.provider.tell("/control", webhook=f"http://127.0.0.1:{port}/payment/fake/webhook")
        try:
            yield
        finally:
            self.prefork.ask(do="stop")
            self.provider.tell("/control", webhook="")

    def rest(self, at: str) -> None:
        """Run what is scheduled until there is nothing left to do."""
        for _attempt in range(_TOO_OFTEN):
            before = self._progress()
            if not all(transaction["processed"] for transaction in self.books().transactions):
                self.post_process(at)
            self.bill(at)
            if self._progress() == before:
                return
        raise AssertionError("It does not come to rest:\n" + "\n".join(self.told()))

    def resolve(self, at: str) -> int:
        """Resolve each exception as a person does who reads the ledger; how many there were."""
        books, ledger = self.books(), self.provider.ledger()
        booked = {line["reference"] for line in ledger if line["kind"] == "booked"}
        exceptions = [order for order in books.orders if order["payment_exception"]]
        for order in exceptions:
            [last] = [each for each in books.transactions if each["token"] == order["token"]][-1:]
            outcome = "paid" if last["reference"] in booked else "unpaid"
            self.story.append(f"{at} resolved: {last['reference']} of {order['token']} is {outcome}")
            self.prefork.run("resolve", at, order=order["id"], outcome=outcome, reference=last["reference"])
        return len(exceptions)

    def mend(self, token: str) -> None:
        """Let a card be good from now on."""
        self.provider.tell("/control", token=token, mode="ok")

    def totals(self) -> dict[str, float]:
        """What it all comes to."""
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
        """All that has happened, for people."""
        rows = [row for rows in self.books() for row in rows]
        return [*self.story, "The ledger:", *map(str, self.provider.ledger()), "The books:", *map(str, rows)]

    def books(self) -> Books:
        """What the database says now."""
        [[text]] = self._sql(_BOOKS, self.prefork.database)
        return Books(**json.loads(text))

    def close(self) -> None:
        """End the provider."""
        self.provider.close()

    def _progress(self) -> list[dict]:
        """The rows of the books, without transactions that the provider did not look at: there is one more each run."""
        refused = {line["reference"] for line in self.provider.ledger() if line["kind"] == "refused"}
        return [row for rows in self.books() for row in rows if row.get("reference") not in refused]

    def _scheduled(self, xml_id: str, at: str, environment: dict[str, str] | None, kill_after: float | None) -> bool:
        known = {transaction["reference"]: transaction["state"] for transaction in self.books().transactions}
        first = len(self.provider.ledger())
        environment = {**self._environment(), **(environment or {})}
        options = {} if kill_after is None else {"kill_after": kill_after}
        ended = self.prefork.ask(
            do="scheduled", at=at, environment=environment, **{"with": {"xml_id": xml_id}}, **options
        )
        self.runs.append(Run(first, len(self.provider.ledger()), known))
        self.story.append(f"{at} {xml_id.partition('.')[2]} {environment.get('KILL_AT', '')}: {ended}")
        assert ended["status"] in (0, -9), f"It failed: see {self.prefork.log}\n{self.prefork.tail()}"
        return ended["status"] == -9

    def _environment(self) -> dict[str, str]:
        return {"FAKE_PROVIDER_URL": self.provider.url}
