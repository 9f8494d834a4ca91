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

from odoo.tools.misc import clean_context


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


# Granted to the methods that can write guarded fields.
METHODS = Guard("subscription_methods")


def as_method(records):
    """Return the same records for a method that writes guarded fields and has checked the rights of its caller.

    Default values in the caller's context are dropped.

    :param records: records of any model; the grant also covers lines created along with them
    """
    return METHODS.grant(records.with_env(records.env(context=clean_context(records.env.context))))
