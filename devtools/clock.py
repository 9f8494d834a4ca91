"""Odoo on a fixed day, so that a picture does not depend on the day on which it is taken.

`python -m devtools.clock SECONDS …` runs `python -m odoo …` with a clock that is that many seconds ahead.
"""

import sys
from datetime import datetime, timedelta, timezone

from .database import Databases

PICTURE_DAY = datetime(2027, 1, 15, 9, 30, tzinfo=timezone.utc)


def seconds_ahead(moment: datetime = PICTURE_DAY) -> int:
    """Return how far a moment is ahead of now."""
    return int((moment - datetime.now(timezone.utc)).total_seconds())


def shift(databases: Databases, name: str, seconds: int) -> None:
    """Shift the clock of a database, which Odoo also asks for the time."""
    databases.sql(
        "CREATE OR REPLACE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE"
        f" AS $$ SELECT pg_catalog.now() + make_interval(secs => {seconds}) $$",
        name,
    )
    databases.sql(f'ALTER DATABASE "{name}" SET search_path = public, pg_catalog', name)


def main() -> None:
    """Shift the clock before anything of Odoo is imported, then run Odoo."""
    from freezegun import freeze_time

    seconds = int(sys.argv.pop(1))
    freeze_time(datetime.now(timezone.utc) + timedelta(seconds=seconds), tick=True).start()

    from odoo.cli.command import main

    main()


if __name__ == "__main__":
    main()
