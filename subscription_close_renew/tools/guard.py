"""Context values that only the addon's own code can set.

Anything in a context can come from outside, because RPC passes on any context in JSON. A :class:`Guard` sets a value that
JSON cannot express.

>>> closing = Guard("closing")
>>> closing.get({"closing": True}) is None
True
>>> closing.get({"closing": closing.seal("by the customer")})
'by the customer'
"""

from dataclasses import dataclass
from typing import Any


class Guard:
    """A context key whose value only counts if this object has sealed it."""

    def __init__(self, key: str):
        """Create a guard.

        :param str key: the context key; it does not need to be secret
        """
        self.key = key
        self._granted = _Sealed(self, True)

    def seal(self, value: Any = True):
        """Return a context value that :meth:`get` accepts."""
        # A single object for the default value: Odoo compares contexts often, and identical objects fast.
        return self._granted if value is True else _Sealed(self, value)

    def grant(self, records, value: Any = True):
        """Return the records with the sealed value in their context."""
        return records.with_context(**{self.key: self.seal(value)})

    def get(self, context, default: Any = None):
        """Return the value that this guard has set in a context, or the default."""
        found = context.get(self.key)
        return found.value if isinstance(found, _Sealed) and found.guard is self else default


@dataclass(frozen=True)
class _Sealed:
    guard: Guard
    value: Any
