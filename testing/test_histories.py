"""The MRR ledger is correct to the cent after ten thousand generated histories of subscriptions.

`./dev test histories` runs them; a plain `./dev test` runs only the hundred of the addon's own tests.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from devtools import tests

THOROUGH = bool(os.environ.get("DEVTOOLS_THOROUGH"))
HISTORIES, PARTS, WORKERS = 10_000, 10, 2
"""The number of histories, of runs that they are divided into, and of runs at once: small machines have two cores."""
TEST = "/subscription_close_renew:TestMrrHistories"


@pytest.mark.skipif(not THOROUGH, reason="takes minutes: ./dev test histories")
def test_ten_thousand_histories_keep_the_ledger(place):
    """Odoo plays them in parts. The numbers of a part are the seeds of its histories."""
    template, _logged = place.databases.addon_template()
    names = [place.scratch.database(place.databases, template, f"histories_{number}") for number in range(WORKERS)]
    size = HISTORIES // PARTS

    def play(worker):
        return [play_part(place, names[worker], part * size, size) for part in range(worker, PARTS, WORKERS)]

    with ThreadPoolExecutor(WORKERS) as pool:
        failures = [failure for failed in pool.map(play, range(WORKERS)) for failure in failed if failure]
    assert not failures, "\n\n".join(failures)


def play_part(place, database, first, count):
    """Play some histories, leaving the database unchanged, and return the failure, if any."""
    part = f"{first}:{first + count}"
    suite = tests.run_in_odoo(
        place.odoo, database, TEST, "--test-enable", log=f"histories-{first}", SUBSCRIPTION_HISTORIES=part
    )
    if suite.passed and not suite.failed:
        return ""
    shown = re.search(r"AssertionError: .*?(?=\n\d{4}-)", suite.printed, re.DOTALL)
    return f"SUBSCRIPTION_HISTORIES={part} ({suite.log}):\n{shown[0] if shown else suite.printed[-2000:]}"
