"""What only the addon's own code may say to itself.

Anything in a context can come from outside: RPC passes on every context that is JSON. A :class:`Guard` puts a value
there that JSON cannot express.

>>> closing = Guard("closing")
>>> closing.get({"closing": True}) is None
True
>>> closing.get({"closing": closing.seal("by the customer")})
'by the customer'
"""

from dataclasses import dataclass
from typing import Any


class Guard:
    """A key of the context whose value counts only if this object has sealed it."""

    def __init__(self, key: str):
        """Make a guard.

        :param str key: the key of the context; it need not be secret
        """
        self.key = key
        self._granted = _Sealed(self, True)

    def seal(self, value: Any = True):
        """Return a value for the context that :meth:`get` accepts."""
        # One object for the plain grant: Odoo compares contexts often, and what is identical at once.
        return self._granted if value is True else _Sealed(self, value)

    def grant(self, records, value: Any = True):
        """Return records whose context has the value."""
        return records.with_context(**{self.key: self.seal(value)})

    def get(self, context, default: Any = None):
        """Return the value that this guard has put into a context; the default if there is none."""
        found = context.get(self.key)
        return found.value if isinstance(found, _Sealed) and found.guard is self else default


@dataclass(frozen=True)
class _Sealed:
    guard: Guard
    value: Any
