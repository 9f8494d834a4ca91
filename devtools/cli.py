"""The commands of ./dev."""

import argparse
import errno
import signal
import sys

from . import bench_billing, bench_reports, clean, console, lint, serve, tests, wheel, workspace
from .console import Stop


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    extra: list[str] = []
    if "--" in arguments:
        at = arguments.index("--")
        arguments, extra = arguments[:at], arguments[at + 1 :]
    asked = _parser().parse_args(arguments)
    asked.extra = extra
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    try:
        return asked.command(asked)
    except Stop as stop:
        console.error(str(stop))
    except KeyboardInterrupt:
        console.error("Stopped.")
        return 130
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        console.error(_storage(error))
    return 1


def _storage(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full ({error.filename or 'writing'}): free some space, or see `./dev clean`."
    return f"{error.filename} cannot be written: set XDG_CACHE_HOME and XDG_DATA_HOME to folders that can."


def _interrupt(_number, _frame):
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./dev",
        description="The commands of a developer. The first use of each fetches what it needs into the cache.",
        epilog="Set ODOO_SRC to use a checkout of Odoo 19, PGHOST or DATABASE_URL to use a PostgreSQL of your own.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, handler, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=handler)
        return sub

    run = command("run", _run, "Start Odoo with the addon and a demonstration company. Its database is kept.")
    run.add_argument("--port", type=int, default=8069, help="where to listen (default 8069)")
    run.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    run.add_argument("--lang", metavar="xx_YY", help="install this language and give it to every user")
    run.add_argument("--fresh", action="store_true", help="start with a new database")
    run.add_argument("--watch", action="store_true", help="reload changed code and views")

    test = command("test", _test, "Run the linters and all tests, or the named parts.")
    test.add_argument(
        "parts",
        nargs="*",
        metavar="AREA|PATH",
        help="an area such as `closing`, a file, or the folder of an addon that extends this one; "
        "`crash` and `histories` take minutes, `core` runs Odoo's own suites",
    )
    test.add_argument("-k", dest="keyword", metavar="NAME", help="run only tests whose names match")
    test.add_argument("--no-browser", action="store_true", help="leave out the tests that drive a browser")
    test.epilog = "Arguments after -- are passed to pytest."

    command("lint", lambda _asked: lint.run(), "Run pre-commit on all files: it checks them, and fixes what it can.")

    bench = command(
        "bench", _bench, "Measure billing or reports, and compare them with the least that they could cost."
    )
    bench.add_argument("what", choices=["billing", "reports"], help="what to measure")
    bench.add_argument(
        "--sizes",
        metavar="N,N",
        help="how many subscriptions there are (default 200,1000,5000,10000 for billing, 100000 for reports)",
    )
    bench.add_argument("--repeat", type=int, default=3, metavar="N", help="how often to measure each (default 3)")
    bench.add_argument("--peers", action="store_true", help="measure Odoo's own invoicing and OCA's addons, too")
    bench.add_argument("--profile", action="store_true", help="tell where time and queries are spent, too")
    bench.add_argument("--strict", action="store_true", help="fail if a limit is passed")

    command("shell", lambda _asked: serve.shell(), "Open Odoo's Python shell on the database of ./dev run.")
    command(
        "psql",
        lambda asked: serve.psql(asked.extra),
        "Open psql on the database of ./dev run. Arguments after -- are passed to psql.",
    )
    command("update", lambda _asked: serve.update(), "Upgrade the addon in the database of ./dev run.")

    command("i18n", _i18n, "Export the texts for translation, and list what each language lacks.")

    command("wheel", lambda _asked: wheel.run(), "Build the package for pip in dist/.")

    shots = command("shots", _shots, "Take the screenshots of the documentation.")
    shots.add_argument("names", nargs="*", metavar="NAME", help="a name in devtools/screenshots.toml")

    remove = command(
        "clean",
        lambda asked: clean.run(asked.yes, asked.keep_data),
        "Remove this project's cache and data from the machine.",
    )
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.add_argument("--keep-data", action="store_true", help="keep the database of ./dev run")
    return parser


def _i18n(_asked) -> int:
    workspace.enter()
    from . import i18n

    return i18n.update()


def _shots(asked) -> int:
    workspace.enter()
    from . import screenshots

    return screenshots.take(asked.names)


def _bench(asked) -> int:
    if asked.what == "reports":
        return bench_reports.run(asked.sizes, asked.repeat, asked.strict)
    return bench_billing.run(asked.sizes, asked.repeat, asked.peers, asked.profile, asked.strict)


def _test(asked) -> int:
    if asked.parts == ["core"]:
        return tests.core()
    return tests.run(asked.parts, asked.keyword, asked.extra, not asked.no_browser)


def _run(asked) -> int:
    return serve.run(asked.port, asked.host, asked.lang, asked.fresh, asked.watch)
