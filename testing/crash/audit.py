"""What must hold between a provider's ledger and the books of a shop, however often the shop was killed.

Pure functions over what was read from both: `test_crash_audit.py` shows that each finding is found.
"""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import NamedTuple

SETTLED = ("done", "error", "cancel")
"""States of a transaction whose outcome is known."""


class Run(NamedTuple):
    """A run of the billing: which lines of the ledger it caused, and what the shop knew when it began."""

    first: int
    past: int
    known: dict[str, str]
    """State of each transaction, by reference."""


class Books(NamedTuple):
    """What the shop's database says, each row as a dictionary."""

    orders: list[dict]
    """`id`, `token`, `next_invoice_date`, `payment_exception`"""
    transactions: list[dict]
    """`reference`, `state`, `amount`, `token`, `invoices`"""
    invoices: list[dict]
    """`id`, `state`, `paid`, `amount`, `mails`"""
    periods: list[dict]
    """`order`, `start`, `end`, `state`, `retry`, `invoices`; cancelled ones left out"""


def findings(ledger: list[dict], runs: list[Run], books: Books) -> list[str]:
    """Whatever is wrong, at any moment between two runs, a sentence each."""
    return [
        *charges_without_transaction(ledger, books),
        *charged_twice(ledger, books),
        *paid_without_charge(ledger, books),
        *asked_while_unknown(ledger, runs, books),
        *periods_that_do_not_tile(books),
        *mailed_twice(books),
    ]


def charges_without_transaction(ledger: list[dict], books: Books) -> list[str]:
    """Charges that the shop does not know of: it wrote nothing down, for good, before it asked."""
    known = {transaction["reference"] for transaction in books.transactions}
    asked = dict.fromkeys(line["reference"] for line in ledger if line["kind"] in ("request", "booked"))
    return [
        f"{reference} was asked for, and the shop has no such transaction"
        for reference in asked
        if reference not in known
    ]


def charged_twice(ledger: list[dict], books: Books) -> list[str]:
    """Invoices and periods for which the provider booked more than once."""
    invoices = {transaction["reference"]: transaction["invoices"] for transaction in books.transactions}
    booked = [line["reference"] for line in ledger if line["kind"] == "booked"]
    by_invoice = Counter(invoice for reference in booked for invoice in invoices.get(reference, ()))
    found = [f"invoice {invoice} was charged {times} times" for invoice, times in by_invoice.items() if times > 1]
    for period in books.periods:
        times = sum(by_invoice[invoice] for invoice in period["invoices"])
        if times > 1:
            found.append(f"{_name(period)} was charged {times} times")
    found += [f"{reference} was booked {times} times" for reference, times in Counter(booked).items() if times > 1]
    return found


def paid_without_charge(ledger: list[dict], books: Books) -> list[str]:
    """Money that the books show and the provider does not."""
    booked = {line["reference"] for line in ledger if line["kind"] == "booked"}
    found = []
    covered = set()
    for transaction in books.transactions:
        if transaction["reference"] in booked:
            covered.update(transaction["invoices"])
        elif transaction["state"] == "done":
            found.append(f"{transaction['reference']} is done, and nothing was booked")
    found += [
        f"invoice {invoice['id']} is paid, and nothing was booked"
        for invoice in books.invoices
        if invoice["paid"] and invoice["id"] not in covered
    ]
    return found


def asked_while_unknown(ledger: list[dict], runs: list[Run], books: Books) -> list[str]:
    """Requests made while the outcome of an earlier one for the same subscription was not known.

    What an earlier run has learned, it has written down. What the same run has learned, the provider has told it, and
    then it may ask for another period only: one that was declined waits for its retry. A promise to tell the outcome
    later holds back nothing but the same invoice.
    """
    invoices = {transaction["reference"]: set(transaction["invoices"]) for transaction in books.transactions}
    found = []
    asked = defaultdict(list)
    for run in runs:
        answered = set()
        requests = defaultdict(list)
        for line in ledger[run.first : run.past]:
            reference, token = line["reference"], line["token"]
            if line["kind"] == "answered" and line["status"] < 500:
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


def periods_that_do_not_tile(books: Books) -> list[str]:
    """Gaps and overlaps between the periods of a subscription, and between the last and the next invoice date."""
    found = []
    for order in books.orders:
        periods = sorted(
            (period for period in books.periods if period["order"] == order["id"]), key=lambda period: period["start"]
        )
        for period, following in pairwise(periods):
            if period["end"] != following["start"]:
                found.append(f"{_name(period)} is followed by {_name(following)}")
        billed = [period for period in periods if period["state"] == "invoiced"]
        if billed and billed[-1]["end"] != order["next_invoice_date"]:
            found.append(f"{_name(billed[-1])} is billed, and next comes {order['next_invoice_date']}")
    return found


def mailed_twice(books: Books) -> list[str]:
    """Invoices that were mailed more than once."""
    return [
        f"invoice {invoice['id']} was mailed {invoice['mails']} times"
        for invoice in books.invoices
        if invoice["mails"] > 1
    ]


def not_mailed(books: Books) -> list[str]:
    """Paid invoices whose customers were never told."""
    return [
        f"invoice {invoice['id']} was not mailed"
        for invoice in books.invoices
        if invoice["paid"] and not invoice["mails"]
    ]


def unsettled(ledger: list[dict], books: Books, today: str) -> list[str]:
    """What is neither paid, nor waits for the provider, for a person or for another attempt, once all is at rest.

    :param str today: the day of the last run
    """
    refused = {line["reference"] for line in ledger if line["kind"] == "refused"}
    last = {transaction["token"]: transaction for transaction in books.transactions}
    charges = defaultdict(list)
    for transaction in books.transactions:
        for invoice in transaction["invoices"]:
            charges[invoice].append(transaction)
    paid = {invoice["id"] for invoice in books.invoices if invoice["paid"]}
    found = []
    for order in books.orders:
        not_looked_at = order["token"] in last and last[order["token"]]["reference"] in refused
        if order["payment_exception"] or not_looked_at:
            continue
        if order["next_invoice_date"] <= today:
            found.append(f"subscription {order['id']} was not billed on {order['next_invoice_date']}")
        for period in books.periods:
            if period["order"] != order["id"] or paid.intersection(period["invoices"]):
                continue
            states = {transaction["state"] for invoice in period["invoices"] for transaction in charges[invoice]}
            again = period["retry"] and period["retry"] > today and states <= {"error", "cancel"}
            if not again and states != {"pending"}:
                found.append(
                    f"{_name(period)} is not paid, and nothing is to come: {sorted(states)}, {period['retry']}"
                )
    return found


def incomplete(ledger: list[dict], books: Books, until: str) -> list[str]:
    """What is not invoiced, charged and paid once, when every card is good and every exception resolved.

    :param str until: the day of the last run
    """
    booked = {line["reference"]: line["amount"] for line in ledger if line["kind"] == "booked"}
    paid = {invoice["id"]: invoice for invoice in books.invoices if invoice["paid"] and invoice["state"] == "posted"}
    charges = {
        transaction["reference"]: transaction["invoices"]
        for transaction in books.transactions
        if transaction["reference"] in booked
    }
    found = []
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
