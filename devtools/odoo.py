"""Odoo's command line."""

import os
import re
import subprocess
from pathlib import Path

from . import cache, node, process, project
from .console import Stop
from .odoo_source import Source
from .postgres import Server
from .virtualenv import Environment

# A line of Odoo's log: date, time, process, level, database, logger, message.
_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ \d+ (?P<level>[A-Z]+) \S+ (?P<logger>\S+): ")
_LOUD = ("WARNING", "ERROR", "CRITICAL")


class Odoo:
    """An Odoo to run: source, virtual environment, database server, and folders for its files and for this run."""

    def __init__(
        self,
        source: Source,
        environment: Environment,
        server: Server,
        data_dir: Path,
        work: Path,
        addons: tuple[Path, ...] = (project.ROOT,),
        seconds_ahead: int = 0,
    ):
        self.source = source
        self.environment = environment
        self.server = server
        self.data_dir = data_dir
        self.work = work
        self.seconds_ahead = seconds_ahead
        self.filestore = data_dir / "filestore"
        self.filestore.mkdir(parents=True, exist_ok=True)
        self.config = work / f"odoo-{cache.digest(*addons)}.conf"
        settings = {
            "addons_path": ",".join(str(path) for path in (*source.addons, *addons)),
            "data_dir": data_dir,
            "http_interface": "127.0.0.1",
            "list_db": "False",
            "max_cron_threads": "0",
        }
        lines = ["[options]", *(f"{key} = {value}" for key, value in settings.items())]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def with_addons(self, *folders: Path) -> "Odoo":
        """Return this Odoo with more folders of addons, such as those that only tests install."""
        return self._changed(addons=(project.ROOT, *folders))

    def without_addon(self, *folders: Path) -> "Odoo":
        """Return this Odoo with other folders of addons instead of the repository."""
        return self._changed(addons=folders)

    def installed_in(self, environment: Environment) -> "Odoo":
        """Return this Odoo in another environment, which has the addon as a package, without the repository's."""
        return self._changed(environment=environment, addons=())

    def on(self, server: Server) -> "Odoo":
        """Return this Odoo with the databases of another server."""
        return self._changed(server=server)

    def ahead(self, seconds: int) -> "Odoo":
        """Return this Odoo with a clock that is ahead. Its databases need `clock.shift`."""
        return self._changed(seconds_ahead=seconds)

    def _changed(self, **changes) -> "Odoo":
        same = {key: getattr(self, key) for key in ("source", "environment", "server", "data_dir", "work")}
        return Odoo(**{**same, **changes})

    def variables(self) -> dict[str, str]:
        """Return the variables of a process of Odoo: PG* for its server, and a PATH with rtlcss and Node."""
        search = node.modules(self.environment) / ".bin"
        inside = self.environment.variables(search)
        inside = {key: inside[key] for key in ("PATH", "VIRTUAL_ENV", "PYTHONUNBUFFERED")}
        return {
            **self.server.variables(),
            **inside,
            **({"PYTHONPATH": str(project.ROOT)} if self.seconds_ahead else {}),
        }

    def command(self, *arguments: str | Path, subcommand: str = "") -> list:
        """Return a command line. `-d` among the arguments names the database."""
        chosen = subcommand.split() if subcommand else ["server"]
        module = ["devtools.clock", str(self.seconds_ahead)] if self.seconds_ahead else ["odoo"]
        return [self.environment.python, "-m", *module, *chosen, "-c", self.config, *arguments]

    def install(self, database: str, modules: list[str], *, update: bool = False, level: str = "warn") -> str:
        """Install or update modules; return the log."""
        arguments = ["-d", database, "-u" if update else "-i", ",".join(modules), "--with-demo"]
        command = self.command(*arguments, "--stop-after-init", "--no-http", f"--log-level={level}")
        what, log = ("Updating", "update") if update else ("Installing", "install")
        return self.finish(command, f"{what} {', '.join(modules)}", f"{log}-{database}")

    def uninstall(self, database: str, modules: list[str]) -> str:
        """Uninstall modules; return the log."""
        command = self.command("-d", database, *modules, subcommand="module uninstall")
        return self.finish(command, f"Uninstalling {', '.join(modules)}", f"uninstall-{database}")

    def script(self, database: str, code: str, what: str) -> str:
        """Run Python in Odoo's shell, which has `env`; return the output."""
        command = self.command("-d", database, "--no-http", "--log-level=warn", subcommand="shell")
        return self.finish(command, what, f"shell-{database}", text_input=code)

    def load_languages(self, database: str, codes: list[str]) -> str:
        """Install languages, as in `fa_IR`, with the translations of all modules; return the log."""
        # The command line takes the names of translation files, such as `fa`.
        code = (
            "langs = env['res.lang'].with_context(active_test=False)\n"
            f"print('iso:', *langs.search([('code', 'in', {codes!r})]).mapped('iso_code'))"
        )
        printed = self.script(database, code, "Reading the languages")
        files = re.search(r"^(?:>>> )*iso:(.*)$", printed, re.MULTILINE)[1].split()
        if len(files) < len(set(codes)):
            raise Stop(f"Odoo does not know each of the languages {', '.join(codes)}: write them as in fr_FR or fa_IR.")
        command = self.command("-d", database, "-l", *files, subcommand="i18n loadlang")
        return self.finish(command, f"Loading {', '.join(codes)}", f"loadlang-{database}")

    def start(self, command: list, log: Path, stdin=subprocess.DEVNULL) -> subprocess.Popen:
        """Start a command whose output goes to the file `log`."""
        with log.open("w") as stream:
            streams = {"stdin": stdin, "stdout": stream, "stderr": subprocess.STDOUT, "text": True}
            return process.start(command, cwd=project.ROOT, env=self.variables(), **streams)

    def finish(self, command: list, what: str, log: str, **options) -> str:
        """Run a command to its end; return its output, which `log` keeps."""
        kept = cache.log(f"{log}.log")
        return process.output(command, what, log=kept, env=self.variables(), cwd=project.ROOT, **options)


def troubles(log: str) -> list[str]:
    """Return the warnings and errors of a log, each with the lines that follow it."""
    found: list[str] = []
    keep = False
    for line in log.splitlines():
        match = _LOG_LINE.match(line)
        if match:
            keep = match["level"] in _LOUD
            if keep:
                found.append(line)
        elif keep:
            found[-1] += os.linesep + line
    return found
