"""The commands of ./dev."""

import argparse
import errno
import signal
import sys

from . import console, workspace
from .console import Stop


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
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
        description="Everything a developer does here. Whatever is needed is fetched into the cache at first use.",
        epilog="Set ODOO_SRC to use a checkout of Odoo 19, PGHOST or DATABASE_URL to use a PostgreSQL of your own.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, handler, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(command=handler)
        return sub

    run = command("run", _run, "Start Odoo with the addon and its demonstration data; what you do there is kept.")
    run.add_argument("--port", type=int, default=8069, help="where to listen (default 8069)")
    run.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine alone)")
    run.add_argument("--lang", metavar="xx_YY", help="install this language and give it to every user")
    run.add_argument("--fresh", action="store_true", help="throw the database away and make a new one")
    run.add_argument("--watch", action="store_true", help="take changes of code and views while it runs")

    test = command("test", _test, "Run the linters and all tests, or the part that is named.")
    test.add_argument(
        "parts",
        nargs="*",
        metavar="AREA|PATH",
        help="such as `closing`; `crash` and `histories` take minutes, `core` runs Odoo's own suites; "
        "or the folder of an addon that extends this one",
    )
    test.add_argument("-k", dest="keyword", metavar="NAME", help="only the tests whose names match")
    test.add_argument("--no-browser", action="store_true", help="leave out the tests that drive a browser")
    test.epilog = "What follows -- goes to pytest."

    command("lint", _lint, "Run pre-commit on all files: it checks them, and fixes what it can.")

    bench = command("bench", _bench, "Measure what work costs beside the least that it could cost, and print ratios.")
    bench.add_argument("what", choices=["billing", "reports"], help="the work to measure")
    bench.add_argument(
        "--sizes",
        metavar="N,N",
        help="how many subscriptions are due (default 200,1000,5000,10000), or reported on (default 100000)",
    )
    bench.add_argument("--repeat", type=int, default=3, metavar="N", help="how often each is measured (default 3)")
    bench.add_argument(
        "--peers", action="store_true", help="let Odoo's own invoicing and OCA's addons do the work, too"
    )
    bench.add_argument("--profile", action="store_true", help="say also where the time and the queries go")
    bench.add_argument("--strict", action="store_true", help="fail if a limit is passed")

    command("shell", _shell, "Open Odoo's Python shell on the database of ./dev run.")
    command("psql", _psql, "Open psql on the database of ./dev run; what follows -- goes to psql.")
    command("update", _update, "Upgrade the addon in the database of ./dev run.")

    command("i18n", _i18n, "Export the texts for translation, and say what each language lacks.")

    command("wheel", _wheel, "Build the package for pip, into dist/.")

    shots = command("shots", _shots, "Take the screenshots of the documentation.")
    shots.add_argument("names", nargs="*", metavar="NAME", help="only these, as named in devtools/screenshots.toml")

    clean = command("clean", _clean, "Remove the cache and the data of this project.")
    clean.add_argument("--yes", action="store_true", help="do not ask")
    clean.add_argument("--keep-data", action="store_true", help="keep the database of ./dev run")
    return parser


def _run(asked) -> int:
    from . import serve

    return serve.run(asked.port, asked.host, asked.lang, asked.fresh, asked.watch)


def _test(asked) -> int:
    from . import tests

    if asked.parts == ["core"]:
        return tests.core()
    return tests.run(asked.parts, asked.keyword, asked.extra, not asked.no_browser)


def _lint(_asked) -> int:
    from . import lint

    return lint.run()


def _bench(asked) -> int:
    from . import bench_billing, bench_reports

    if asked.what == "reports":
        return bench_reports.run(asked.sizes, asked.repeat, asked.strict)
    return bench_billing.run(asked.sizes, asked.repeat, asked.peers, asked.profile, asked.strict)


def _shell(asked) -> int:
    from . import serve

    return serve.shell()


def _psql(asked) -> int:
    from . import serve

    return serve.psql(asked.extra)


def _update(asked) -> int:
    from . import serve

    return serve.update()


def _i18n(_asked) -> int:
    workspace.enter()
    from . import i18n

    return i18n.update()


def _wheel(_asked) -> int:
    from . import wheel

    return wheel.run()


def _shots(asked) -> int:
    workspace.enter()
    from . import screenshots

    return screenshots.take(asked.names)


def _clean(asked) -> int:
    from . import clean

    return clean.run(asked.yes, asked.keep_data)
