"""Odoo on another day, so that what a picture shows does not change with the day on which it is taken.

`python -m devtools.clock SECONDS …` is `python -m odoo …` with a clock that is so many seconds ahead.
"""

import sys
from datetime import datetime, timedelta, timezone

PICTURE_DAY = datetime(2027, 1, 15, 9, 30, tzinfo=timezone.utc)


def seconds_ahead(moment: datetime = PICTURE_DAY) -> int:
    """How far ahead of now a moment is."""
    return int((moment - datetime.now(timezone.utc)).total_seconds())


def statements(database: str, seconds: int) -> list[str]:
    """What makes a database believe the same: Odoo asks it, too, for the time."""
    ahead = f"make_interval(secs => {seconds})"
    return [
        "CREATE OR REPLACE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE"
        f" AS $$ SELECT pg_catalog.now() + {ahead} $$",
        f'ALTER DATABASE "{database}" SET search_path = public, pg_catalog',
    ]


def main() -> None:
    """Set the clock before anything of Odoo is imported, then be Odoo."""
    from freezegun import freeze_time

    seconds = int(sys.argv.pop(1))
    freeze_time(datetime.now(timezone.utc) + timedelta(seconds=seconds), tick=True).start()

    from odoo.cli.command import main

    main()


if __name__ == "__main__":
    main()
