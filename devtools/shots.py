"""./dev shots: the documentation's pictures, taken of the demonstration company, always on the same day.

`shots.toml` lists them; see its head for what a shot may say.
"""

from . import browser, clock, process, project, say, serve, workspace


def take(names: list[str]) -> int:
    """Take the named shots, or all."""
    chromium = browser.ensure()
    with workspace.opened("test") as place:
        seconds = clock.seconds_ahead()
        odoo = place.odoo.ahead(seconds)
        database = place.scratch.database(place.databases, place.databases.base_template(), "shots")
        _set_clock(place, database, seconds)
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
        languages = process.output([*camera, "languages", *names], "Reading shots.toml", env=variables).split()
        foreign = [language for language in languages if language != "en_US"]
        if foreign:
            with say.step(f"Loading {', '.join(foreign)}"):
                odoo.load_languages(database, foreign)
        failed = 0
        for language in languages:
            # Some steps change the data, and the pictures of each language show the same story.
            copy = place.scratch.database(place.databases, database, f"shots_{language.lower()}")
            _set_clock(place, copy, seconds)
            with serve.aside(odoo, copy) as url:
                photographer = process.start([*camera, "take", chromium, url, copy, language, *names], env=variables)
                try:
                    failed |= photographer.wait()
                finally:
                    process.stop(photographer)
        process.output([*camera, "cover", chromium], "Taking the cover", env=variables)
        return failed


def _set_clock(place, database, seconds):
    for statement in clock.statements(database, seconds):
        place.databases.sql(statement, database)
