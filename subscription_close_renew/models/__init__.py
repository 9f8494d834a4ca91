"""The rooms of the addon, in the order in which they may extend and call each other.

A room extends and calls only what stands above it. What a room above has to know of one below, it asks of a method of its
own that the room below extends. `tests/test_rooms.py` checks this.

The order of the imports matters: Odoo applies the classes of a model in the order in which they are loaded, so the base of
a method has to be loaded before what overrides it.
"""

# isort: off
from . import catalogue
from . import subscription
from . import mrr
from . import billing
from . import closing
from . import pausing
from . import payment
from . import renewing
from . import dunning
from . import portal
