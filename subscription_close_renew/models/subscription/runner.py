"""What a scheduled action does to many subscriptions, apart from what it does to each.

Promises kept here: one bad record neither stops nor undoes the others (P7), and any number of workers share the work.
"""

from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from typing import NamedTuple

from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.service.model import PG_CONCURRENCY_EXCEPTIONS_TO_RETRY
from odoo.tools import SQL

BATCH_SIZE = 100


class StopRun(UserError):
    """Nothing more of the same would succeed in this run."""


class Turn(NamedTuple):
    """One thing that a scheduled action does to all subscriptions of a domain, the oldest date first."""

    domain: Domain
    """What is due; a record that was dealt with no longer fits it."""
    date_field: str
    """Name of the date field that says which is the oldest."""
    call: Callable
    """Called with a batch of `sale.order`. With batches of one, it may commit."""
    size: int = BATCH_SIZE
    """Number of records in a batch."""
    limit: int = 1
    """Number of calls for one record, which may still fit the domain after each."""


class State(Enum):
    """How far a run has come."""

    RUNNING = auto()
    OUT_OF_TIME = auto()
    STOPPED = auto()
    FINISHED = auto()


def commit(env, processed=0, remaining=None):
    """Commit, so that nothing that follows can undo what was done so far.

    In a scheduled action, Odoo counts the records and the time; anywhere else, this is a commit and nothing more.

    :param env: an environment
    :param int processed: number of records dealt with since the last call
    :param int remaining: number of records left, if it is known
    :return: the seconds that are left; 0 if the run has to end
    :rtype: float
    """
    return env["ir.cron"]._commit_progress(processed, remaining=remaining)


class Runner:
    """Carries out one turn, in batches that each are committed.

    A record that fails is set aside. Rows that another worker holds are left to that worker.
    """

    def __init__(self, orders, turn):
        """Prepare a run.

        :param orders: a recordset of `sale.order`; only its environment counts
        :param Turn turn: what to do
        """
        self.orders = orders.browse()
        self.turn = turn
        self.succeeded = Counter()
        """Number of calls that succeeded, by record id."""
        self._begun = Counter()
        self._left = set()

    def run(self):
        """Call the method until nothing is due or the time is over.

        :return: the records for which it succeeded
        :rtype: sale.order
        """
        commit(self.orders.env, remaining=self._count_due())
        state = State.RUNNING
        while state is State.RUNNING:
            batch = self._lock_next()
            state = self._carry_out(batch) if batch else State.FINISHED
        # Out of time, Odoo calls the scheduled action again at once, as long as something is said to be left.
        commit(self.orders.env, remaining=self._count_due() if state is State.OUT_OF_TIME else 0)
        return self.orders.browse(self.succeeded)

    def _carry_out(self, batch):
        """Call the method on a batch, and commit.

        :param batch: `sale.order`
        :rtype: State
        """
        state = State.RUNNING
        self._begun.update(batch.ids)
        try:
            failed = self._call_alone(batch) if self.turn.size == 1 else call_isolating_failures(batch, self.turn.call)
            self.succeeded.update((batch - failed).ids)
            self._left.update(failed.ids)
            if not commit(batch.env, len(batch)):
                state = State.OUT_OF_TIME
        except StopRun as error:
            batch.env.cr.rollback()
            batch._set_aside_safely(error)
            state = State.STOPPED
        except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
            # Somebody else works on these records at this moment: a new transaction sees how they left them.
            batch.env.cr.rollback()
        self._left.update(order_id for order_id in batch.ids if self._has_had_its_turns(order_id))
        return state

    def _has_had_its_turns(self, order_id):
        limit = self.turn.limit
        return self.succeeded[order_id] >= limit or self._begun[order_id] >= limit + 2

    def _get_due_domain(self):
        return self.turn.domain & Domain("id", "not in", list(self._left))

    def _count_due(self):
        return self.orders.search_count(self._get_due_domain())

    def _lock_next(self):
        """Lock the records that come first, without those that another transaction holds.

        Called at the beginning of a transaction: nothing read before counts any more.

        :rtype: sale.order
        """
        orders = self.orders
        query = orders._search(self._get_due_domain(), order=f"{self.turn.date_field}, id", limit=self.turn.size)
        rows = SQL("%s FOR NO KEY UPDATE OF %s SKIP LOCKED", query.select(), SQL.identifier(orders._table))
        while True:
            try:
                return orders.browse(order_id for (order_id,) in orders.env.execute_query(rows))
            except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
                # Another worker was quicker by a moment: a new transaction sees what it did.
                orders.env.cr.rollback()

    def _call_alone(self, order):
        """Call the method on one record; a failure undoes what was not committed, and sets the record aside.

        :param order: `sale.order`
        :return: the record, if the method failed on it
        :rtype: sale.order
        """
        try:
            self.turn.call(order)
            order.env.cr.flush()
            return order.browse()
        except (StopRun, *PG_CONCURRENCY_EXCEPTIONS_TO_RETRY):
            raise
        except Exception as error:
            order.env.cr.rollback()
            order._set_aside_safely(error)
            return order


def call_isolating_failures(orders, call):
    """Call a method on many records; halve those that fail until the bad ones are alone, and set these aside.

    :param orders: `sale.order`
    :param call: called with some of them
    :return: the records on which the method failed
    :rtype: sale.order
    """
    try:
        with orders.env.cr.savepoint():
            call(orders)
        return orders.browse()
    except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
        raise
    except Exception as error:
        if len(orders) == 1:
            orders._set_aside_safely(error)
            return orders
        middle = len(orders) // 2
        halves = orders[:middle], orders[middle:]
        return orders.browse().concat(*(call_isolating_failures(half, call) for half in halves))
