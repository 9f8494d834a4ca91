"""The audit finds each possible inconsistency between a provider's ledger and a shop's books."""

import pytest

from testing.crash import audit
from testing.crash.audit import Books, Run

CARD = {"token": "ok:1", "amount": 100.0, "currency": "USD"}
TODAY = "2027-03-01"
FEBRUARY = "2027-02-01 to 2027-03-01 of subscription 1"


def fact(kind, reference="S1-1", **more):
    return {"kind": kind, "reference": reference, **CARD, **more}


def charge(reference="S1-1"):
    return [fact("request", reference), fact("booked", reference), fact("answered", reference, status=200, says="done")]


def transaction(reference="S1-1", state="done", invoices=(1,), **changed):
    outcome = {"state": state, "processed": True, "mismatch": False, "operation": "offline"}
    return {"reference": reference, "invoices": list(invoices), **outcome, **CARD, **changed}


def invoice(number=1, paid=True, mails=1, by_hand=False):
    amounts = {"amount": 100.0, "settled": 100.0 if paid else 0.0}
    facts = {"mails": mails, "token": "ok:1", "by_hand": by_hand}
    return {"id": number, "state": "posted", "paid": paid, **facts, **amounts}


def payment(amount=100.0, by_hand=False):
    return {"amount": amount, "by_hand": by_hand, "token": "ok:1"}


def period(number=1, invoices=(1,), **changed):
    stretch = {"start": f"2027-0{number + 1}-01", "end": f"2027-0{number + 2}-01"}
    return {"order": 1, "state": "invoiced", "retry": None, "invoices": list(invoices), **stretch, **changed}


def order(next_invoice_date="2027-03-01", **changed):
    running = {"card": True, "state": "progress", "payment_exception": False, "activities": []}
    return {"id": 1, "token": "ok:1", "next_invoice_date": next_invoice_date, **running, **changed}


def books(transactions=None, invoices=None, periods=None, orders=None, payments=None):
    """Return the books of a subscription paid for February, with the given changes."""
    return Books(
        orders=[order()] if orders is None else orders,
        transactions=[transaction()] if transactions is None else transactions,
        invoices=[invoice()] if invoices is None else invoices,
        periods=[period()] if periods is None else periods,
        payments=[payment()] if payments is None else payments,
    )


def found(ledger, books, *runs):
    return audit.findings(ledger, list(runs) or [Run(0, len(ledger), {})], books)


def test_nothing_is_found_where_nothing_is_wrong():
    assert found(charge(), books()) == []
    assert audit.unsettled(charge(), books(orders=[order("2027-03-02")]), TODAY) == []
    assert audit.incomplete(charge(), books(orders=[order("2027-03-02")]), TODAY) == []


def test_a_charge_that_was_never_written_down():
    assert found([*charge(), *charge("S9-1")], books()) == ["S9-1 was asked for, and the shop has no such transaction"]


def test_an_invoice_charged_twice():
    ledger = charge() + charge("S1-2")
    twice = books([transaction(), transaction("S1-2")])
    runs = Run(0, 3, {}), Run(3, 6, {"S1-1": "error"})
    assert found(ledger, twice, *runs) == [
        "invoice 1 was charged 2 times",
        f"{FEBRUARY} was charged 2 times",
    ]


def test_a_period_charged_twice_by_two_invoices():
    ledger = charge() + charge("S1-2")
    twice = books(
        [transaction(), transaction("S1-2", invoices=[2])], [invoice(), invoice(2)], [period(invoices=[1, 2])]
    )
    runs = Run(0, 3, {}), Run(3, 6, {"S1-1": "done"})
    assert found(ledger, twice, *runs) == [f"{FEBRUARY} was charged 2 times"]


def test_a_request_sent_twice():
    ledger = charge() + charge()
    runs = Run(0, 3, {}), Run(3, 6, {"S1-1": "done"})
    assert "S1-1 was asked for twice" in found(ledger, books(), *runs)
    assert "S1-1 was booked 2 times" in found(ledger, books(), *runs)


def test_money_that_only_the_books_know():
    assert found([], books()) == [
        "S1-1 is done, and nothing was booked",
        "invoice 1 is paid, and nothing was booked",
    ]


@pytest.mark.parametrize("state", ["draft", "pending", None])
def test_a_request_for_what_may_have_been_paid(state):
    """Another run asks although the outcome of the first request was unknown in the books."""
    ledger = [fact("request"), fact("answered", status=500, says=""), *charge("S1-2")]
    frozen = [order(payment_exception=True)]
    twice = books([transaction(state=state), transaction("S1-2")], orders=frozen)
    known = {"S1-1": state} if state else {}
    assert found(ledger, twice, Run(0, 2, {}), Run(2, 5, known)) == [
        f"S1-2 was asked for while S1-1 was {state or 'unwritten'}"
    ]
    assert found(ledger, twice, Run(0, 2, {}), Run(2, 5, {"S1-1": "error"})) == []


def test_what_is_pending_holds_back_its_own_invoice_only():
    ledger = [fact("request"), fact("pending"), fact("answered", status=200, says="pending"), *charge("S1-2")]
    two = books(
        [transaction(state="pending"), transaction("S1-2", invoices=[2])],
        [invoice(paid=False), invoice(2)],
        [period(), period(2, invoices=[2])],
        [order("2027-04-01")],
    )
    assert found(ledger, two, Run(0, 3, {}), Run(3, 6, {"S1-1": "pending"})) == []
    assert found(ledger, two, Run(0, 6, {})) == []
    assert found(ledger, two, Run(0, 3, {}), Run(3, 6, {"S1-1": "draft"})) != []


@pytest.mark.parametrize("answer", [[], [fact("answered", status=500, says="")]])
def test_a_request_in_the_same_run_after_one_without_an_answer(answer):
    ledger = [fact("request"), *answer, *charge("S1-2")]
    two = books(
        [transaction(state="draft"), transaction("S1-2", invoices=[2])],
        [invoice(paid=False), invoice(2)],
        [period(), period(2, invoices=[2])],
        [order("2027-04-01", payment_exception=True)],
    )
    assert found(ledger, two) == ["S1-2 was asked for while S1-1 was not answered"]


def test_a_decline_asked_about_again_at_once():
    ledger = [fact("request"), fact("declined"), fact("answered", status=200, says="error"), *charge("S1-2")]
    twice = books([transaction(state="error"), transaction("S1-2")])
    assert found(ledger, twice) == ["S1-2 was asked for in the same run as S1-1, for the same invoice"]


def test_a_period_charged_twice_after_its_first_invoice_was_deleted():
    ledger = charge("S1-20270201") + charge("S1-20270201-1")
    twice = books([transaction("S1-20270201", invoices=[]), transaction("S1-20270201-1")])
    runs = Run(0, 3, {}), Run(3, 6, {"S1-20270201": "done"})
    assert found(ledger, twice, *runs) == ["S1-20270201 was charged 2 times"]


def test_a_charge_declared_unpaid_may_be_repeated():
    given_up = [*charge()[:2], fact("resolved", outcome="unpaid"), *charge("S1-2")]
    runs = Run(0, 2, {}), Run(3, 6, {"S1-1": "error"})
    assert found(given_up, books([transaction(state="error"), transaction("S1-2")]), *runs) == []


def test_a_separate_payment_of_the_customer_is_not_a_charge():
    ledger = [*charge(), fact("booked", "checkout", by="customer")]
    assert found(ledger, books([transaction(), transaction("checkout", operation="online_redirect")])) == []


def test_money_that_a_person_knows_of():
    assert found([fact("resolved", outcome="paid")], books()) == []
    assert found([], books([], payments=[payment(by_hand=True)])) == []


@pytest.mark.parametrize(
    "ledger",
    [
        charge(),
        charge()[:2],
        [fact("request"), fact("answered", status=500, says="")],
        [
            fact("request"),
            fact("booked"),
            *[fact("answered", status=200, says="done"), fact("followed"), fact("refused")],
        ],
        [fact("request"), fact("followed"), fact("refused"), fact("answered", status=404, says="")],
    ],
)
def test_a_charge_taken_for_failed(ledger):
    failed = books([transaction(state="error")], [invoice(paid=False)])
    assert found(ledger, failed) == ["S1-1 of ok:1 is error, and nobody said that it failed"]


@pytest.mark.parametrize(
    "last",
    [
        [fact("answered", status=200, says="error")],
        [fact("answered", status=402, says="error")],
        [fact("refused"), fact("answered", status=404, says="")],
        [fact("notified", status=200, says="error")],
        [fact("resolved", outcome="unpaid")],
        [fact("resolved", outcome="paid")],
    ],
)
def test_a_charge_that_failed(last):
    assert found([fact("request"), *last], books([transaction(state="error")], [invoice(paid=False)])) == []


@pytest.mark.parametrize("unknown", [{"state": "draft"}, {"state": "error", "mismatch": True}])
def test_an_exception_lifted_while_an_attempt_is_unknown(unknown):
    ledger = [fact("request"), fact("booked")]
    lifted = books([transaction(**unknown)], [invoice(paid=False)])
    assert found(ledger, lifted) == [f"S1-1 of ok:1 is {unknown['state']}, and its subscription is not in exception"]
    assert found(ledger, lifted._replace(orders=[order(payment_exception=True)])) == []
    assert audit.forgotten_while_unknown(books([transaction(state="draft", operation="online_redirect")])) == []


def test_a_charge_asked_for_after_a_close():
    closed = fact("closed", "")
    assert found([*charge(), closed], books()) == []
    assert found([closed, *charge()], books()) == ["S1-1 was asked for after the subscription was closed"]


def test_a_question_that_was_not_answered_leaves_a_charge_open():
    asked = [*charge(), fact("followed"), fact("refused"), fact("answered", status=404, says=""), *charge("S1-2")]
    two = books([transaction(), transaction("S1-2", invoices=[2])], [invoice(), invoice(2)])
    assert found(asked, two) == ["S1-2 was asked for while S1-1 was not answered"]


def test_money_that_only_the_provider_knows():
    missing = books(payments=[])
    assert audit.out_of_sight(charge(), missing) == ["100.0 of ok:1 are at the provider, and 0 in the books"]
    assert audit.out_of_sight(charge(), missing._replace(orders=[order(payment_exception=True)])) == []
    for outcome in ("unpaid", "taken over"):
        resolved = [*charge(), fact("resolved", outcome=outcome)]
        assert audit.out_of_sight(resolved, missing) == []
        assert audit.out_of_sight([*resolved, fact("notified", status=200, says="done")], missing) != []


def test_an_unreported_double_payment():
    twice = books(payments=[payment(), payment(by_hand=True)])
    assert audit.overpaid_unnoticed(twice) == [
        "ok:1 has paid 200.0, of which its invoices took 100.0, and nobody is notified"
    ]
    assert audit.overpaid_unnoticed(twice._replace(orders=[order(activities=["Paid twice"])])) == []


def test_periods_with_a_gap():
    gap = books(periods=[period(), period(3, invoices=[])], orders=[order("2027-05-01")])
    assert found(charge(), gap) == [f"{FEBRUARY} is followed by 2027-04-01 to 2027-05-01 of subscription 1"]


def test_a_date_that_did_not_move():
    assert found(charge(), books(orders=[order("2027-02-01")])) == [f"{FEBRUARY} is billed, and next comes 2027-02-01"]


def test_a_mail_sent_twice():
    assert found(charge(), books(invoices=[invoice(mails=2)])) == ["invoice 1 was mailed 2 times"]


def test_a_mail_that_was_forgotten():
    assert audit.not_mailed(books()) == []
    assert audit.not_mailed(books(invoices=[invoice(mails=0)])) == ["invoice 1 was not mailed"]


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        (
            {"orders": [order(TODAY)], "invoices": [invoice()]},
            f"subscription 1 was not billed on {TODAY}",
        ),
        ({"transactions": []}, f"{FEBRUARY} is not paid, and nothing is to come: [], None"),
        ({}, f"{FEBRUARY} is not paid, and nothing is to come: ['done'], None"),
        (
            {"transactions": [transaction(state="draft")]},
            f"{FEBRUARY} is not paid, and nothing is to come: ['draft'], None",
        ),
        (
            {"transactions": [transaction(state="error")]},
            f"{FEBRUARY} is not paid, and nothing is to come: ['error'], None",
        ),
        (
            {"transactions": [transaction(state="error")], "periods": [period(retry=TODAY)]},
            f"{FEBRUARY} is not paid, and nothing is to come: ['error'], {TODAY}",
        ),
        (
            {"transactions": [transaction(state="draft")], "periods": [period(retry="2027-03-02")]},
            f"{FEBRUARY} is not paid, and nothing is to come: ['draft'], 2027-03-02",
        ),
    ],
)
def test_unfinished_work(changed, finding):
    left = books(**{"orders": [order("2027-03-02")], "invoices": [invoice(paid=False)], "payments": [], **changed})
    assert audit.unsettled([], left, TODAY) == [finding]


def test_items_that_wait_for_a_person_count_as_settled():
    unpaid = {"invoices": [invoice(paid=False)], "orders": [order("2027-03-02")], "payments": []}
    later = {**unpaid, "periods": [period(retry="2027-03-02")]}
    frozen = {**unpaid, "orders": [order("2027-02-01", payment_exception=True)]}
    unbilled = {**unpaid, "orders": [order("2027-02-01")]}
    closed = {**unpaid, "orders": [order("2027-02-01", state="churned")]}
    by_invoice = {**unpaid, "orders": [order("2027-03-02", card=False)]}
    by_hand = {**unpaid, "orders": [order("2027-03-02")], "invoices": [invoice(paid=False, by_hand=True)]}
    assert audit.unsettled([], books([transaction(state="error")], **later), TODAY) == []
    assert audit.unsettled([], books([transaction(state="pending")], **unpaid), TODAY) == []
    assert audit.unsettled([], books([transaction(state="draft")], **frozen), TODAY) == []
    assert audit.unsettled([], books([], **closed), TODAY) == []
    assert audit.unsettled([], books([], **by_invoice), TODAY) == []
    assert audit.unsettled([], books([], **by_hand), TODAY) == []
    assert audit.unsettled([fact("refused")], books([transaction(state="error")], **unbilled), TODAY) == []


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({"orders": [order("2027-03-02", payment_exception=True)]}, "subscription 1 is still in exception"),
        ({"orders": [order(TODAY)]}, f"subscription 1 is not billed since {TODAY}"),
        (
            {
                "invoices": [invoice(paid=False)],
                "payments": [payment()],
                "orders": [order("2027-03-02", activities=["Paid twice"])],
            },
            f"{FEBRUARY} is invoiced, and charged by ['S1-1']",
        ),
        (
            {"transactions": [transaction("other")]},
            f"{FEBRUARY} is invoiced, and charged by nothing",
        ),
        (
            {"periods": [period(state="draft")]},
            f"{FEBRUARY} is draft, and charged by ['S1-1']",
        ),
    ],
)
def test_incomplete_subscriptions(changed, finding):
    assert audit.incomplete(charge(), books(**{"orders": [order("2027-03-02")], **changed}), TODAY) == [finding]
