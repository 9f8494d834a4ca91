"""./dev shots: the documentation's pictures, taken of the demonstration company, always on the same day.

`shots.toml` lists them; see its head for what a shot may say.
"""

import subprocess

from . import browser, cache, clock, process, project, say, serve, workspace
from .tests import free_port


def take(names: list[str]) -> int:
    """Take the named shots, or all."""
    chromium = browser.ensure()
    with workspace.opened("test") as place:
        seconds = clock.seconds_ahead()
        odoo = place.odoo.ahead(seconds)
        database = place.scratch.database(place.databases, place.databases.base_template(), "shots")
        for statement in clock.statements(database, seconds):
            place.databases.sql(statement, database)
        with say.step(f"Installing {project.ADDON} on {clock.PICTURE_DAY:%-d %B %Y}"):
            odoo.install(database, [project.ADDON])
        # The port is another each time.
        for key, value in (("web.base.url", "https://www.example.com"), ("web.base.url.freeze", "True")):
            place.databases.sql(
                f"INSERT INTO ir_config_parameter (key, value) VALUES ('{key}', '{value}')"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                database,
            )
        camera = [odoo.environment.python, "-m", "devtools.camera"]
        variables = {**odoo.variables(), "DEVTOOLS_SECONDS_AHEAD": str(seconds), **browser.fonts()}
        wanted = process.output([*camera, "languages", *names], "Reading shots.toml", env=variables).split()
        if wanted:
            with say.step(f"Loading {', '.join(wanted)}"):
                odoo.load_languages(database, wanted)
        port = free_port()
        log = cache.log("shots.log")
        with log.open("w") as stream:
            command = odoo.command("-d", database, "--http-port", str(port), f"--db-filter=^{database}$")
            streams = {"stdin": subprocess.DEVNULL, "stdout": stream, "stderr": subprocess.STDOUT}
            server = process.start(command, cwd=project.ROOT, env=odoo.variables(), **streams)
        url = f"http://127.0.0.1:{port}"
        photographer = None
        try:
            with say.step("Starting Odoo"):
                serve.wait_for(server, url, log)
            photographer = process.start([*camera, "take", chromium, url, database, *names], env=variables)
            return photographer.wait()
        finally:
            for child in (photographer, server):
                if child and child.poll() is None:
                    process.stop(child)
