"""The arithmetic of a ledger that follows an amount through currencies, without a database.

A ledger is a list of entries, each an amount and its value in the currency of the company. What it has of one subscription
is a :class:`Balance`; what has to be added so that it says something else are new entries. Nothing here is changed once it
is made.

A currency may be any hashable object. Rates and roundings come from a :class:`Market`:

>>> rates = {"EUR": 1.0, "USD": 2.0}  # one euro is two dollars
>>> market = Market(
...     home="EUR",
...     round=lambda amount, currency: round(amount, 2),
...     convert=lambda amount, source, target: round(amount / rates[source] * rates[target], 2),
... )

A subscription of 10 dollars a month is worth 5 euros. It is raised to 30 dollars:

>>> balance = Balance.of([Entry("USD", 10.0, 5.0)])
>>> balance.entries_to(30.0, "USD", market)
([], Entry(currency='USD', amount=20.0, value=10.0))

When its rate has changed meanwhile, the change of value comes first, in an entry of its own:

>>> Balance.of([Entry("USD", 10.0, 4.0)]).entries_to(30.0, "USD", market)
([Entry(currency='USD', amount=0.0, value=1.0)], Entry(currency='USD', amount=20.0, value=10.0))

Sold in euros from now on, for the same price:

>>> balance.entries_to(5.0, "EUR", market)
([Entry(currency='USD', amount=-10.0, value=-5.0), Entry(currency='EUR', amount=5.0, value=5.0)], \
Entry(currency='EUR', amount=0.0, value=0.0))
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING = (0.0, 0.0)


@dataclass(frozen=True)
class Entry:
    """One entry of a ledger."""

    currency: Hashable
    amount: float
    """Signed, in the currency."""
    value: float
    """Signed, in the currency of the company."""


@dataclass(frozen=True)
class Market:
    """The rates of one day, and how each currency rounds."""

    home: Hashable
    """The currency of the company."""
    round: Callable[[float, Hashable], float]
    """Rounds an amount in a currency."""
    convert: Callable[[float, Hashable, Hashable], float]
    """Converts an amount from one currency to another, and rounds it."""


@dataclass(frozen=True)
class Balance:
    """What a ledger has of one subscription: amount and value, by currency."""

    amounts: Mapping = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def of(cls, entries: Iterable[Entry]):
        """Return the sum of entries.

        >>> Balance.of([Entry("USD", 10.0, 5.0), Entry("USD", -4.0, -2.0)])["USD"]
        (6.0, 3.0)
        """
        return cls().plus(entries)

    def __getitem__(self, currency):
        """Return the amount and the value in a currency; nothing if the ledger has none.

        >>> Balance()["USD"]
        (0.0, 0.0)
        """
        return self.amounts.get(currency, NOTHING)

    def plus(self, entries: Iterable[Entry]):
        """Return the balance after some more entries.

        :rtype: Balance
        """
        amounts = dict(self.amounts)
        for entry in entries:
            amount, value = amounts.get(entry.currency, NOTHING)
            amounts[entry.currency] = (amount + entry.amount, value + entry.value)
        return Balance(MappingProxyType(amounts))

    def rounded(self, market: Market):
        """Return the same balance without the last decimals that sums of floating-point numbers leave.

        :rtype: Balance
        """
        amounts = {
            currency: (market.round(amount, currency), market.round(value, market.home))
            for currency, (amount, value) in self.amounts.items()
        }
        return Balance(MappingProxyType(amounts))

    def exchange(self, currency: Hashable, market: Market):
        """Return the entries that move everything to one currency. The values stay the same.

        :rtype: list
        """
        entries = []
        for other, (amount, value) in self.amounts.items():
            if other != currency and (market.round(amount, other) or market.round(value, market.home)):
                entries.append(Entry(other, -amount, -value))
                entries.append(Entry(currency, market.convert(value, market.home, currency), value))
        return entries

    def entries_to(self, amount: float, currency: Hashable, market: Market):
        """Return what brings the ledger to an amount.

        The value of what stays is that of the day on which something else changes.

        :param float amount: what the ledger is to have, in the currency
        :param currency: the only currency that it is to have
        :param Market market: of the day
        :return: the entries of exchange and of changed rates, and the entry of the change itself, which may be zero
        :rtype: tuple
        """
        entries = self.exchange(currency, market)
        before, value = self.plus(entries).rounded(market)[currency]
        change = market.round(amount - before, currency)
        if not change:
            return entries, Entry(currency, 0.0, 0.0)
        today = market.convert(before, currency, market.home)
        if difference := market.round(today - value, market.home):
            entries.append(Entry(currency, 0.0, difference))
            value = today
        after = market.convert(amount, currency, market.home)
        return entries, Entry(currency, change, market.round(after - value, market.home))

    def transfer(self, currency: Hashable, market: Market):
        """Return the entries that move everything to another subscription.

        :param currency: that of the other subscription
        :param Market market: of the day
        :return: pairs of an entry that takes away and one that adds
        :rtype: list
        """
        return [
            (
                Entry(other, -amount, -value),
                Entry(currency, amount if other == currency else market.convert(value, market.home, currency), value),
            )
            for other, (amount, value) in self.amounts.items()
        ]
