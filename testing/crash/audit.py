"""Consistency of a provider's ledger and the books of a shop, however often the shop was killed.

Pure functions over the data of both; `test_crash_audit.py` shows that each inconsistency is found.
"""

import re
from collections import Counter, defaultdict
from itertools import pairwise
from typing import NamedTuple

SETTLED = ("done", "error", "cancel")
"""States of a transaction whose outcome is known."""
_BY_ODOO = ("offline", "online_token")
_PERIOD = re.compile(r"(.+-\d{8})(?:-\d+)?")
"""What the references of all attempts to collect one period have in common: subscription and first day."""


class Run(NamedTuple):
    """A billing run: the ledger lines that it caused, and what the shop knew when it began."""

    first: int
    past: int
    known: dict[str, str]
    """State of each transaction, by reference."""


class Books(NamedTuple):
    """The contents of the shop's database, each row as a dictionary."""

    orders: list[dict]
    """`id`, `token`, `card`, `state`, `next_invoice_date`, `payment_exception`, `activities`"""
    transactions: list[dict]
    """`reference`, `state`, `mismatch`, `operation`, `amount`, `token`, `invoices`"""
    invoices: list[dict]
    """`id`, `state`, `paid`, `amount`, `settled`, `mails`, `token`, `by_hand`"""
    payments: list[dict]
    """`amount`, `by_hand`, `token`"""
    periods: list[dict]
    """`order`, `start`, `end`, `state`, `retry`, `invoices`; cancelled ones left out"""


def findings(ledger: list[dict], runs: list[Run], books: Books) -> list[str]:
    """Return all inconsistencies between two runs, one message each."""
    return [
        *charges_without_transaction(ledger, books),
        *charged_twice(ledger, books),
        *paid_without_charge(ledger, books),
        *asked_while_unknown(ledger, runs, books),
        *asked_after_close(ledger),
        *taken_for_failed(ledger, books),
        *forgotten_while_unknown(books),
        *periods_that_do_not_tile(books),
        *mailed_twice(books),
    ]


def is_unknown(transaction: dict) -> bool:
    """Return whether the outcome of a charge is unknown according to the books."""
    return transaction["mismatch"] or (transaction["state"] == "draft" and transaction["operation"] in _BY_ODOO)


def booked(ledger: list[dict]) -> dict[str, float]:
    """Return the provider's bookings by reference."""
    return {line["reference"]: line["amount"] for line in ledger if line["kind"] == "booked"}


def not_looked_at(ledger: list[dict]) -> set[str]:
    """Return the references of charges that the provider did not process."""
    followed = {line["reference"] for line in ledger if line["kind"] == "followed"}
    return {line["reference"] for line in ledger if line["kind"] == "refused"} - followed


def _said(ledger: list[dict], *outcomes: str) -> set[str]:
    """Return the references of charges that a person marked `paid` or `unpaid`, or has `taken over` to register."""
    return {line["reference"] for line in ledger if line["kind"] == "resolved" and line["outcome"] in outcomes}


def charges_without_transaction(ledger: list[dict], books: Books) -> list[str]:
    """Find charges unknown to the shop, which committed no transaction before the request."""
    known = {transaction["reference"] for transaction in books.transactions}
    asked = dict.fromkeys(line["reference"] for line in ledger if line["kind"] in ("request", "booked"))
    return [
        f"{reference} was asked for, and the shop has no such transaction"
        for reference in asked
        if reference not in known
    ]


def charged_twice(ledger: list[dict], books: Books) -> list[str]:
    """Find invoices and periods that the provider booked more than once.

    Separate payments of customers do not count, nor do charges made after a person marked one as unpaid.
    """
    invoices = {transaction["reference"]: transaction["invoices"] for transaction in books.transactions}
    given_up = _said(ledger, "unpaid")
    charges = [
        line["reference"]
        for line in ledger
        if line["kind"] == "booked" and "by" not in line and line["reference"] not in given_up
    ]
    by_period = Counter(match[1] for match in map(_PERIOD.fullmatch, dict.fromkeys(charges)) if match)
    by_invoice = Counter(invoice for reference in charges for invoice in invoices.get(reference, ()))
    found = [f"invoice {invoice} was charged {times} times" for invoice, times in by_invoice.items() if times > 1]
    for period in books.periods:
        times = sum(by_invoice[invoice] for invoice in period["invoices"])
        if times > 1:
            found.append(f"{_name(period)} was charged {times} times")
    found += [f"{period} was charged {times} times" for period, times in by_period.items() if times > 1]
    found += [f"{reference} was booked {times} times" for reference, times in Counter(charges).items() if times > 1]
    return found


def paid_without_charge(ledger: list[dict], books: Books) -> list[str]:
    """Find payments in the books that neither the provider nor a person has reported."""
    known = booked(ledger).keys() | _said(ledger, "paid")
    by_hand = {payment["token"] for payment in books.payments if payment["by_hand"]}
    found = []
    covered = set()
    for transaction in books.transactions:
        if transaction["reference"] in known:
            covered.update(transaction["invoices"])
        elif transaction["state"] == "done":
            found.append(f"{transaction['reference']} is done, and nothing was booked")
    found += [
        f"invoice {invoice['id']} is paid, and nothing was booked"
        for invoice in books.invoices
        if invoice["paid"] and invoice["id"] not in covered and invoice["token"] not in by_hand
    ]
    return found


def asked_while_unknown(ledger: list[dict], runs: list[Run], books: Books) -> list[str]:
    """Find requests made while the outcome of an earlier one for the same subscription was unknown.

    An earlier run has recorded what it learned. In the same run, the provider has answered the request, after
    which only another period may be charged: a declined one waits for its retry. A promise to notify the outcome
    later holds back only the same invoice.
    """
    invoices = {transaction["reference"]: set(transaction["invoices"]) for transaction in books.transactions}
    found = []
    asked = defaultdict(list)
    for run in runs:
        answered, followed = set(), set()
        requests = defaultdict(list)
        for line in ledger[run.first : run.past]:
            reference, token = line["reference"], line["token"]
            if line["kind"] == "followed":
                answered.discard(reference)
                followed.add(reference)
            if line["kind"] == "answered" and line["status"] < (300 if reference in followed else 500):
                answered.add(reference)
            if line["kind"] != "request":
                continue
            if reference in asked[token] + requests[token]:
                found.append(f"{reference} was asked for twice")
            for earlier in asked[token]:
                same = invoices.get(earlier, set()) & invoices.get(reference, set())
                state = run.known.get(earlier, "unwritten")
                if state not in SETTLED and (same or state != "pending"):
                    found.append(f"{reference} was asked for while {earlier} was {state}")
            for earlier in requests[token]:
                if earlier not in answered:
                    found.append(f"{reference} was asked for while {earlier} was not answered")
                if invoices.get(earlier, set()) & invoices.get(reference, set()):
                    found.append(f"{reference} was asked for in the same run as {earlier}, for the same invoice")
            requests[token].append(reference)
        for token, references in requests.items():
            asked[token] += references
    return found


def asked_after_close(ledger: list[dict]) -> list[str]:
    """Find requests made for a subscription after it was closed."""
    closed, found = set(), []
    for line in ledger:
        if line["kind"] == "closed":
            closed.add(line["token"])
        if line["kind"] == "request" and line["token"] in closed:
            found.append(f"{line['reference']} was asked for after the subscription was closed")
    return found


def taken_for_failed(ledger: list[dict], books: Books) -> list[str]:
    """Find charges marked as failed that neither the provider nor a person has reported as failed.

    An inquiry after a charge cannot fail it when the inquiry is not answered or not processed.
    """
    # A person who has invoiced a paid period manually lifts the exception without settling the transaction.
    asked, followed, failed = set(), set(), _said(ledger, "unpaid", "paid", "taken over")
    for line in ledger:
        reference = line["reference"]
        if line["kind"] == "request":
            asked.add(reference)
        elif line["kind"] == "followed":
            followed.add(reference)
        elif (
            line["kind"] in ("answered", "notified") and line["says"] == "error" and line["status"] in (200, 402)
        ) or (line["kind"] == "answered" and reference not in followed and 400 <= line["status"] < 500):
            failed.add(reference)
    return [
        f"{each['reference']} of {each['token']} is {each['state']}, and nobody said that it failed"
        for each in books.transactions
        if each["state"] in ("error", "cancel") and each["reference"] in asked - failed and not is_unknown(each)
    ]


def forgotten_while_unknown(books: Books) -> list[str]:
    """Find charges with an unknown outcome that nobody is asked to look up, so that others may be made."""
    frozen = {order["token"] for order in books.orders if order["payment_exception"]}
    return [
        f"{each['reference']} of {each['token']} is {each['state']}, and its subscription is not in exception"
        for each in books.transactions
        if is_unknown(each) and each["token"] not in frozen
    ]


def out_of_sight(ledger: list[dict], books: Books) -> list[str]:
    """Find money that only the provider has once nothing is left to do, and that nobody is asked to look up."""
    # A charge marked unpaid or about to be registered is reported when the provider's notification arrives.
    notified = {line["reference"] for line in ledger if line["kind"] == "notified"}
    silent = _said(ledger, "unpaid", "taken over") - notified
    charged, recorded = Counter(), Counter()
    for line in ledger:
        if line["kind"] == "booked" and line["reference"] not in silent:
            charged[line["token"]] += line["amount"]
    for payment in books.payments:
        recorded[payment["token"]] += payment["amount"]
    frozen = {order["token"] for order in books.orders if order["payment_exception"]}
    return [
        f"{amount} of {token} are at the provider, and {recorded[token]} in the books"
        for token, amount in charged.items()
        if amount > recorded[token] and token not in frozen
    ]


def overpaid_unnoticed(books: Books) -> list[str]:
    """Find overpayments that were not reported to anybody."""
    recorded, settled = Counter(), Counter()
    for payment in books.payments:
        recorded[payment["token"]] += payment["amount"]
    for invoice in books.invoices:
        if invoice["state"] == "posted":
            settled[invoice["token"]] += invoice["settled"]
    told = {order["token"] for order in books.orders if "Paid twice" in order["activities"]}
    return [
        f"{token} has paid {amount}, of which its invoices took {settled[token]}, and nobody is notified"
        for token, amount in recorded.items()
        if amount > settled[token] and token not in told
    ]


def periods_that_do_not_tile(books: Books) -> list[str]:
    """Find gaps and overlaps between the periods of a subscription, and before the next invoice date."""
    found = []
    for order in books.orders:
        periods = sorted(
            (period for period in books.periods if period["order"] == order["id"]), key=lambda period: period["start"]
        )
        for period, following in pairwise(periods):
            if period["end"] != following["start"]:
                found.append(f"{_name(period)} is followed by {_name(following)}")
        billed = [period for period in periods if period["state"] == "invoiced"]
        next_date = order["next_invoice_date"]
        if billed and billed[-1]["end"] != next_date and (next_date or order["state"] == "progress"):
            found.append(f"{_name(billed[-1])} is billed, and next comes {order['next_invoice_date']}")
    return found


def mailed_twice(books: Books) -> list[str]:
    """Find invoices mailed more than once."""
    return [
        f"invoice {invoice['id']} was mailed {invoice['mails']} times"
        for invoice in books.invoices
        if invoice["mails"] > 1
    ]


def not_mailed(books: Books) -> list[str]:
    """Find paid invoices that were never mailed to their customers."""
    return [
        f"invoice {invoice['id']} was not mailed"
        for invoice in books.invoices
        if invoice["paid"] and not invoice["mails"]
    ]


def unsettled(ledger: list[dict], books: Books, today: str) -> list[str]:
    """Find periods that, once nothing is left to do, are neither paid nor waiting for an outcome, person or retry.

    :param str today: the day of the last run
    """
    refused = not_looked_at(ledger)
    by_odoo = [transaction for transaction in books.transactions if transaction["operation"] in _BY_ODOO]
    last = {transaction["token"]: transaction for transaction in by_odoo}
    charges = defaultdict(list)
    for transaction in by_odoo:
        for invoice in transaction["invoices"]:
            charges[invoice].append(transaction)
    # A person who creates an invoice manually also collects its payment.
    settled = {invoice["id"] for invoice in books.invoices if invoice["paid"] or invoice["by_hand"]}
    found = out_of_sight(ledger, books) + overpaid_unnoticed(books)
    for order in books.orders:
        ignored = order["token"] in last and last[order["token"]]["reference"] in refused
        if order["payment_exception"] or order["state"] != "progress" or ignored:
            continue
        if order["next_invoice_date"] <= today:
            found.append(f"subscription {order['id']} was not billed on {order['next_invoice_date']}")
        for period in books.periods:
            if period["order"] != order["id"] or settled.intersection(period["invoices"]) or not order["card"]:
                continue
            states = {transaction["state"] for invoice in period["invoices"] for transaction in charges[invoice]}
            again = period["retry"] and period["retry"] > today and states <= {"error", "cancel"}
            if not again and states != {"pending"}:
                found.append(
                    f"{_name(period)} is not paid, and nothing is to come: {sorted(states)}, {period['retry']}"
                )
    return found


def incomplete(ledger: list[dict], books: Books, until: str) -> list[str]:
    """Find periods not invoiced, charged and paid exactly once, when every card works and no exception is left.

    :param str until: the day of the last run
    """
    at_provider = booked(ledger)
    paid = {invoice["id"]: invoice for invoice in books.invoices if invoice["paid"] and invoice["state"] == "posted"}
    charges = {
        transaction["reference"]: transaction["invoices"]
        for transaction in books.transactions
        if transaction["reference"] in at_provider
    }
    found = out_of_sight(ledger, books) + overpaid_unnoticed(books)
    for order in books.orders:
        if order["payment_exception"]:
            found.append(f"subscription {order['id']} is still in exception")
        if order["next_invoice_date"] <= until:
            found.append(f"subscription {order['id']} is not billed since {order['next_invoice_date']}")
    for period in books.periods:
        settling = [reference for reference, invoices in charges.items() if set(invoices) & set(period["invoices"])]
        if len(settling) != 1 or not set(period["invoices"]) <= paid.keys() or period["state"] != "invoiced":
            found.append(f"{_name(period)} is {period['state']}, and charged by {settling or 'nothing'}")
    return found


def _name(period: dict) -> str:
    return f"{period['start']} to {period['end']} of subscription {period['order']}"
