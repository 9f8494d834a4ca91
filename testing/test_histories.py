"""Ten thousand made-up histories of subscriptions keep the ledger of MRR, to the cent.

`./dev test histories` makes them up; a plain `./dev test` leaves them to the hundred of the addon's own tests.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from devtools import cache, process, project
from devtools.tests import free_port

THOROUGH = bool(os.environ.get("DEVTOOLS_THOROUGH"))
HISTORIES, PARTS, WORKERS = 10_000, 10, 2
"""How many, in how many runs, and how many of these go on at once: machines have two cores."""
TEST = "/subscription_close_renew:TestMrrHistories"


@pytest.mark.skipif(not THOROUGH, reason="takes minutes: ./dev test histories")
def test_ten_thousand_histories_keep_the_ledger(place):
    """Odoo plays them, a part at a time; a part is made up anew by its first and last number."""
    template, _logged = place.databases.addon_template()
    names = [place.scratch.database(place.databases, template, f"histories_{number}") for number in range(WORKERS)]
    size = HISTORIES // PARTS

    def play(worker):
        return [play_part(place, names[worker], part * size, size) for part in range(worker, PARTS, WORKERS)]

    with ThreadPoolExecutor(WORKERS) as pool:
        failures = [failure for failed in pool.map(play, range(WORKERS)) for failure in failed if failure]
    assert not failures, "\n\n".join(failures)


def play_part(place, database, first, count):
    """Play some histories, which leave the database as it was; what went wrong, or nothing."""
    command = place.odoo.command("-d", database, "--test-enable", "--test-tags", TEST, "--stop-after-init")
    command += ["--http-port", str(free_port()), "--log-level=info"]
    variables = {**place.odoo.variables(), "SUBSCRIPTION_HISTORIES": f"{first}:{first + count}"}
    log = cache.log(f"histories-{first}.log")
    code, printed = process.run(command, log=log, env=variables, cwd=project.ROOT)
    ran = re.search(r"0 failed, 0 error\(s\) of (\d+) tests", printed)
    if not code and ran and int(ran[1]):
        return ""
    shown = re.search(r"AssertionError: .*?(?=\n\d{4}-)", printed, re.DOTALL)
    return f"SUBSCRIPTION_HISTORIES={first}:{first + count} ({log}):\n{shown[0] if shown else printed[-2000:]}"
