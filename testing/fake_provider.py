"""A payment provider in its own process, with a ledger that cannot be rolled back.

It represents the outside world: its bookings stay, whatever happens to the client. Each line of its ledger
is a fact in JSON, appended before the client gets an answer::

    {"kind": "request", "reference": "INV/1", "token": "ok:17", "amount": 100.0, "currency": "USD", "time": …}
    {"kind": "booked", "reference": "INV/1", …}
    {"kind": "answered", "reference": "INV/1", "status": 200, "says": "done", …}

The first part of a card's token, up to a colon, says how the card is treated: `ok:17`, `drop:3`. `ok~404:5` has two
parts: for the charge and for the inquiry that follows, as with providers that first authorise, then capture. It
does not recognise a repeated reference, like most providers: asked twice, it books twice.

    python fake_provider.py LEDGER [--slow SECONDS] [--late SECONDS]

prints its port, and ends with its input. `POST /charge` requests money, `POST /follow` the outcome;
`POST /control` with `{"token", "mode"}` changes how a card is treated, with `{"webhook": URL}` sets where
notifications go, and with `{"release": true}` releases withheld answers; `POST /checkout` is a customer paying
on the provider's page; `POST /note` adds people's actions to the ledger; `POST /notify` sends the notifications
due. All of them answer once everything requested before is in the ledger.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

FACTS = ("reference", "token", "amount", "currency", "by")
"""What the ledger says about each step of a charge; `by`, if the customer began it and not the shop."""
KILL_HEADER = "X-Kill-Pid"
"""Names the process to kill once the charge has been dealt with and before it is answered."""


class Mode(NamedTuple):
    """How a card is treated."""

    fact: str
    """What becomes of the charge: `booked`, `authorised`, `declined`, `pending`, `refused` (not looked at), or `lost`."""
    status: int | None = 200
    """The HTTP status of the answer; without one the connection is dropped."""
    wait: str = ""
    """`slow` answers in time, `late` when nobody waits any longer, `held` when it is released."""
    later: str = ""
    """What becomes of a pending charge when its notification is due."""
    reason: str = ""
    less: float = 0
    """How much less than the asked amount is booked."""
    early: bool = False
    """Whether the notification is sent before the answer. Odoo may block it while it waits for the answer."""


_POOR = "Insufficient funds"
_STOLEN = "The card was reported stolen"
MODES = {
    "ok": Mode("booked"),
    "slow-ok": Mode("booked", wait="slow"),
    "early-ok": Mode("booked", early=True),
    "soft-decline": Mode("declined", reason=_POOR),
    "hard-decline": Mode("declined", reason=_STOLEN),
    "slow-decline": Mode("declined", wait="slow", reason=_POOR),
    "402": Mode("declined", 402, reason=_POOR),
    "pending": Mode("pending", later="booked"),
    "pending-decline": Mode("pending", later="declined", reason=_POOR),
    "drop": Mode("booked", None),
    "lost": Mode("lost", None),
    "timeout": Mode("booked", wait="late"),
    "500": Mode("lost", 500, reason="Internal error"),
    "500-booked": Mode("booked", 500, reason="Internal error"),
    "401": Mode("refused", 401, reason="Wrong key"),
    "403": Mode("refused", 403, reason="Forbidden"),
    "404": Mode("refused", 404, reason="No such thing"),
    "429": Mode("refused", 429, reason="Too many requests"),
    "wrong-amount": Mode("booked", less=1),
    "held-ok": Mode("booked", wait="held"),
    "held-decline": Mode("declined", wait="held", reason=_POOR),
    "held-drop": Mode("booked", None, wait="held"),
    "authorised": Mode("authorised"),
}
STATUSES = {"booked": "done", "declined": "error", "pending": "pending"}
"""What answers and notifications call a fact."""


NOWHERE = "nowhere"
"""Names a question that does not even reach the provider."""
PATIENCE = 60
"""Seconds that an answer is held back at the most."""


def mode_of(token: str) -> str:
    """Return the mode of a token: `drop` for `drop:3`, and for `drop+caught:3`, whose other part is for the client."""
    return token.partition(":")[0].partition("+")[0].partition("~")[0]


def mode_of_question(token: str) -> str:
    """Return how the inquiry after a charge is treated: `404` for `ok~404:5`; empty without an inquiry."""
    return token.partition(":")[0].partition("+")[0].partition("~")[2]


def post(url: str, data: dict) -> tuple[int, str]:
    """Post JSON and return the status and text of the answer."""
    request = urllib.request.Request(url, json.dumps(data).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Ledger:
    """Facts in chronological order, one per line."""

    def __init__(self, path: str):
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def add(self, kind: str, facts: dict) -> None:
        """Append a fact in one system call, so that readers see it at once and complete."""
        line = json.dumps({"kind": kind, **facts, "time": time.time()})
        os.write(self._file, line.encode() + b"\n")


class Provider:
    """Books charges and remembers the notifications to send."""

    def __init__(self, ledger: Ledger, slow: float = 0.2, late: float = 2):
        self.ledger = ledger
        self.webhook = ""
        self._waits = {"": 0, "slow": slow, "late": late}
        self._modes: dict[str, str] = {}
        self._due: dict[str, tuple[str, dict]] = {}
        self._booked: set[str] = set()
        self._held = threading.Event()
        self._busy = 0
        self._idle = threading.Condition()

    def set_mode(self, token: str, mode: str) -> None:
        """Change how a card is treated from now on."""
        if mode not in MODES:
            raise ValueError(f"no mode is called {mode}")
        self._modes[token] = mode

    def charge(self, asked: dict) -> tuple[Mode, dict]:
        """Process a request, and return how to answer it and with what content."""
        mode = MODES[self._modes.get(asked["token"]) or mode_of(asked["token"])]
        facts = {key: asked[key] for key in ("reference", "token", "amount", "currency")}
        self.ledger.add("request", facts)
        if mode.wait == "slow":
            time.sleep(self._waits["slow"] / 2)
        facts["amount"] -= mode.less
        if mode.fact != "lost":
            self.ledger.add(mode.fact, facts)
        said = self._remember(mode, facts)
        if mode.early and self.webhook:
            early = threading.Thread(target=self.notify, args=[asked["reference"]])
            early.start()
            early.join(self._waits["slow"])
        return mode, said

    def follow(self, asked: dict) -> tuple[Mode, dict]:
        """Process the inquiry after a charge: an authorised amount is booked now."""
        mode = MODES["ok" if asked["token"] in self._modes else mode_of_question(asked["token"])]
        facts = {key: asked[key] for key in ("reference", "token", "amount", "currency")}
        self.ledger.add("followed", facts)
        if mode.fact == "booked" and asked["reference"] in self._booked:
            return mode, self._say(mode, facts)
        if mode.fact != "lost":
            self.ledger.add(mode.fact, facts)
        return mode, self._remember(mode, facts)

    def check_out(self, asked: dict) -> None:
        """Record that a customer paid on the provider's page, gave up or forgot: the shop is notified."""
        mode = MODES[asked["mode"]]
        facts = {key: asked[key] for key in ("reference", "token", "amount", "currency")}
        facts["by"] = "customer"
        self.ledger.add(mode.fact, facts)
        self._remember(mode, facts)

    def _remember(self, mode: Mode, facts: dict) -> dict:
        """Remember a notification, and return the immediate answer."""
        said = self._say(mode, facts)
        if mode.fact == "booked":
            self._booked.add(facts["reference"])
        if mode.fact in STATUSES:
            self._due[facts["reference"]] = (mode.later, {**said, "status": STATUSES[mode.later or mode.fact]})
        return said

    def _say(self, mode: Mode, facts: dict) -> dict:
        said = {**facts, "provider_reference": f"fake-{facts['reference']}", "message": mode.reason}
        return {**said, "status": STATUSES.get(mode.fact, "")}

    def release(self) -> None:
        """Release all withheld answers, and withhold none from now on."""
        self._held.set()

    @contextlib.contextmanager
    def dealing(self):
        """Wrap the processing of a charge, which continues when nobody waits for the answer."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def finish(self) -> None:
        """Wait until every charge has been processed."""
        with self._idle:
            self._idle.wait_for(lambda: not self._busy)

    def wait(self, mode: Mode) -> None:
        """Wait for the time between processing a charge and answering it."""
        if mode.wait == "held":
            self._held.wait(PATIENCE)
        else:
            time.sleep(self._waits[mode.wait] / (2 if mode.wait == "slow" else 1))

    def notify(self, *references: str) -> dict[str, int]:
        """Notify the shop of charges, by default all, and return the HTTP status of each notification."""
        met = {}
        for reference in references or list(self._due):
            later, notification = self._due.pop(reference)
            facts = {key: notification[key] for key in FACTS if key in notification}
            if later:
                self.ledger.add(later, facts)
            met[reference], _text = post(self.webhook, notification)
            self.ledger.add("notified", {**facts, "status": met[reference], "says": notification["status"]})
        return met


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a provider."""

    provider: Provider
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        if self.path == "/charge":
            self._charge(asked, self.provider.charge)
        elif self.path == "/follow":
            self._charge(asked, self.provider.follow)
        elif self.path == "/control":
            self.provider.finish()
            if "mode" in asked:
                self.provider.set_mode(asked["token"], asked["mode"])
            self.provider.webhook = asked.get("webhook", self.provider.webhook)
            if asked.get("release"):
                self.provider.release()
            self._answer(200, {})
        elif self.path == "/checkout":
            self.provider.check_out(asked)
            self._answer(200, {})
        elif self.path == "/note":
            self.provider.ledger.add(asked.pop("kind"), asked)
            self._answer(200, {})
        elif self.path == "/notify":
            self.provider.finish()
            self._answer(200, self.provider.notify(*asked.get("references", ())))
        else:
            self._answer(404, {"message": f"nothing is at {self.path}"})

    def log_message(self, *_arguments):
        """Log nothing: the ledger has all the information."""

    def _charge(self, asked: dict, deal: Callable[[dict], tuple[Mode, dict]]) -> None:
        with self.provider.dealing():
            mode, said = deal(asked)
        if KILL_HEADER in self.headers:
            os.kill(int(self.headers[KILL_HEADER]), signal.SIGKILL)
        self.provider.wait(mode)
        if mode.status is None:
            self.close_connection = True
            return
        if mode.wait != "late":
            facts = {key: asked[key] for key in ("reference", "token")}
            self.provider.ledger.add("answered", {**facts, "status": mode.status, "says": said["status"]})
        # The client may be gone.
        with contextlib.suppress(ConnectionError):
            self._answer(mode.status, said)

    def _answer(self, status: int, content: dict) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(ThreadingHTTPServer):
    """Serves each client in a thread, and ignores killed clients."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def main() -> None:
    """Serve until standard input ends, that is, until the parent program ends."""
    parser = argparse.ArgumentParser(description="A payment provider for tests.")
    parser.add_argument("ledger", help="the file to append to")
    parser.add_argument("--slow", type=float, default=0.2, help="seconds that a slow answer takes")
    parser.add_argument("--late", type=float, default=2, help="seconds after which nobody waits any longer")
    asked = parser.parse_args()
    Handler.provider = Provider(Ledger(asked.ledger), asked.slow, asked.late)
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
