"""./dev shots: the documentation's pictures, taken of a copy of the demonstration database.

`shots.toml` lists them; see its head for what a shot may say.
"""

import subprocess

from . import browser, cache, process, project, say, serve, workspace
from .tests import free_port


def take(names: list[str]) -> int:
    """Take the named shots, or all."""
    chromium = browser.ensure()
    with workspace.opened("test") as place:
        template, _logged = place.databases.addon_template()
        database = place.scratch.database(place.databases, template, "shots")
        camera = [place.odoo.environment.python, "-m", "devtools.camera"]
        variables = {**place.odoo.variables(), "PYTHONPATH": str(project.ROOT), "PYTHONUNBUFFERED": "1"}
        wanted = process.output([*camera, "languages", *names], "Reading shots.toml", env=variables).split()
        if wanted:
            with say.step(f"Loading {', '.join(wanted)}"):
                place.odoo.load_languages(database, wanted)
        port = free_port()
        log = cache.log("shots.log")
        with log.open("w") as stream:
            command = place.odoo.command("-d", database, "--http-port", str(port), f"--db-filter=^{database}$")
            streams = {"stdin": subprocess.DEVNULL, "stdout": stream, "stderr": subprocess.STDOUT}
            server = process.start(command, cwd=project.ROOT, env=place.odoo.variables(), **streams)
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
