"""Process many subscriptions in a scheduled action, independently of what is done to each.

One bad record never stops or rolls back another (P7), and any number of workers can share the work.
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
    """Raised when no further call of the same kind can succeed in this run."""


class Turn(NamedTuple):
    """One step of a scheduled action: a method to call on all subscriptions of a domain, oldest date first."""

    domain: Domain
    """The records that are due; a processed record no longer matches."""
    date_field: str
    """Name of the date field to sort by, oldest first."""
    call: Callable
    """Method to call with a batch of `sale.order`. It may commit if batches have one record."""
    size: int = BATCH_SIZE
    """Number of records in a batch."""
    limit: int = 1
    """Maximum number of calls per record, for records that still match the domain after a call."""


class State(Enum):
    """Progress of a run."""

    RUNNING = auto()
    OUT_OF_TIME = auto()
    STOPPED = auto()
    FINISHED = auto()


def commit(env, processed=0, remaining=None):
    """Commit, so that later failures cannot undo the work done so far.

    In a scheduled action, Odoo also tracks the number of records and the time; elsewhere, this only commits.

    :param env: an environment
    :param int processed: number of records processed since the last call
    :param int remaining: number of records left, if known
    :return: the seconds left; 0 if the run has to end
    :rtype: float
    """
    return env["ir.cron"]._commit_progress(processed, remaining=remaining)


class Runner:
    """Runs one turn in batches, and commits after each batch.

    A record that fails is set aside. Rows locked by another worker are left to that worker.
    """

    def __init__(self, orders, turn):
        """Prepare a run.

        :param orders: a recordset of `sale.order`; only its environment is used
        :param Turn turn: what to do
        """
        self.orders = orders.browse()
        self.turn = turn
        self.succeeded = Counter()
        """Number of successful calls by record id."""
        self._begun = Counter()
        self._left = set()

    def run(self):
        """Call the method until nothing is due or time runs out.

        :return: the records for which the method succeeded
        :rtype: sale.order
        """
        commit(self.orders.env, remaining=self._count_due())
        state = State.RUNNING
        while state is State.RUNNING:
            batch = self._lock_next()
            state = self._carry_out(batch) if batch else State.FINISHED
        # When time runs out, Odoo calls the scheduled action again immediately if records remain.
        commit(self.orders.env, remaining=self._count_due() if state is State.OUT_OF_TIME else 0)
        return self.orders.browse(self.succeeded)

    def _carry_out(self, batch):
        """Call the method on a batch and commit.

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
            # Another transaction has changed these records: a new transaction sees the result.
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
        """Lock the next batch, skipping records locked by another transaction.

        This is called at the start of a transaction, so records read earlier may have changed.

        :rtype: sale.order
        """
        orders = self.orders
        query = orders._search(self._get_due_domain(), order=f"{self.turn.date_field}, id", limit=self.turn.size)
        rows = SQL("%s FOR NO KEY UPDATE OF %s SKIP LOCKED", query.select(), SQL.identifier(orders._table))
        while True:
            try:
                return orders.browse(order_id for (order_id,) in orders.env.execute_query(rows))
            except PG_CONCURRENCY_EXCEPTIONS_TO_RETRY:
                # Another worker was faster: a new transaction sees its changes.
                orders.env.cr.rollback()

    def _call_alone(self, order):
        """Call the method on one record; on failure, roll back and set the record aside.

        :param order: `sale.order`
        :return: the record if the method failed
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
    """Call a method on many records, splitting failing batches in half until the bad records can be set aside.

    :param orders: `sale.order`
    :param call: method to call with a batch
    :return: the records for which the method failed
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
