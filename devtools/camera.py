"""Drives Chromium over the DevTools protocol to take the shots. Runs inside the virtual environment."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psycopg2
import websocket

from . import storefront

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

_LIST = Path(__file__).with_name("shots.toml")
_TARGET = Path(__file__).resolve().parent.parent / "docs/images"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--force-prefers-reduced-motion",
    "--hide-scrollbars",
    "--mute-audio",
    "--no-first-run",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
)
_PATIENCE = 40
# What is narrower has a telephone's ways.
_PHONE = 600
# The page's clock agrees with that of `devtools.clock`.
_CLOCK = """{
    const ahead = %s * 1000;
    const RealDate = Date;
    globalThis.Date = class Date extends RealDate {
        constructor(...parts) { parts.length ? super(...parts) : super(RealDate.now() + ahead); }
        static now() { return RealDate.now() + ahead; }
    };
}"""


class Failure(Exception):
    """A shot that cannot be taken, and why."""


class Browser:
    """A headless Chromium that shows one page."""

    def __init__(self, program: str):
        self.profile = Path(tempfile.mkdtemp(prefix="shots-"))
        self.process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={self.profile}", "about:blank"], stderr=subprocess.DEVNULL
        )
        port_file = self.profile / "DevToolsActivePort"
        _until(lambda: port_file.exists() and port_file.read_text().count("\n"), "Chromium does not start")
        port, path = port_file.read_text().splitlines()
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}{path}", timeout=_PATIENCE)
        self.last = 0
        self.context = self.page = None

    def begin(self, width: int, height: int, scale: float = 1) -> None:
        """Have an empty page of this size, with the cookies of nobody.

        Each has a browser context of its own: what the page before still asked for would bring its cookies back.
        """
        if self.context:
            self.ask("Target.disposeBrowserContext", browserContextId=self.context)
        self.context = self.ask("Target.createBrowserContext")["browserContextId"]
        target = self.ask("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.page = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.ask(f"{domain}.enable")
        ahead = os.environ.get("DEVTOOLS_SECONDS_AHEAD")
        if ahead:
            self.ask("Page.addScriptToEvaluateOnNewDocument", source=_CLOCK % ahead)
        size = {"width": width, "height": height, "deviceScaleFactor": scale}
        self.ask("Emulation.setDeviceMetricsOverride", mobile=width < _PHONE, **size)

    def ask(self, method: str, **parameters) -> dict:
        """Send one command, to the browser or its page, and return its result."""
        self.last += 1
        command = {"id": self.last, "method": method, "params": parameters}
        if not method.startswith("Target."):
            command["sessionId"] = self.page
        self.socket.send(json.dumps(command))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise Failure(f"{method}: {answer['error'].get('message')}")
                return answer["result"]

    def script(self, code: str):
        """Evaluate JavaScript in the page; a promise is waited for."""
        result = self.ask("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise Failure(result["exceptionDetails"].get("exception", {}).get("description", "a script failed"))
        return result["result"].get("value")

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self.script("window.leaving = true")
        self.ask("Page.navigate", url=url)
        _until(lambda: self.script("!window.leaving && document.readyState === 'complete'"), f"{url} does not load")

    def wait_for(self, selector: str) -> None:
        """Wait until something visible matches."""
        found = f"Array.from(document.querySelectorAll({json.dumps(selector)})).some((e) => e.getClientRects().length)"
        _until(lambda: self.script(found), f"nothing matches {selector}")

    def click(self, selector: str) -> None:
        """Click the first visible match."""
        self.wait_for(selector)
        every = f"Array.from(document.querySelectorAll({json.dumps(selector)}))"
        self.script(f"{every}.find((e) => e.getClientRects().length).click()")

    def picture(self, width: int, height: int, crop: str | None) -> bytes:
        """The page, or the element that matches `crop`, as PNG."""
        area = {"x": 0, "y": 0, "width": width, "height": height}
        if crop:
            box = f"document.querySelector({json.dumps(crop)}).getBoundingClientRect().toJSON()"
            area = {key: value for key, value in self.script(box).items() if key in area}
        taken = self.ask("Page.captureScreenshot", format="png", clip={**area, "scale": 1})
        return base64.b64decode(taken["data"])

    def close(self) -> None:
        """End Chromium."""
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.profile, ignore_errors=True)


class Site:
    """The Odoo that is shown."""

    def __init__(self, url: str, database: str):
        self.url = url
        self.database = database
        self.connection = psycopg2.connect(dbname=database)
        self.connection.autocommit = True
        self.sessions: dict[str, str] = {}
        self.languages: dict[str, str] = {}

    def session(self, user: str) -> str:
        """The session cookie of a user; Odoo's demonstration users have their login as password."""
        if user not in self.sessions:
            answer = self._post(
                "/web/session/authenticate", {"db": self.database, "login": user, "password": user}, cookie=None
            )
            self.sessions[user] = re.search(r"session_id=([^;]+)", answer.headers["Set-Cookie"])[1]
        return self.sessions[user]

    def speak(self, user: str, lang: str) -> None:
        """Give a user a language, through Odoo so that it notices; who is logged in keeps the one that they have."""
        [user_id] = self._row("SELECT id FROM res_users WHERE login = %s", user)
        call = {"model": "res.users", "method": "write", "args": [[user_id], {"lang": lang}], "kwargs": {}}
        body = json.load(self._post("/web/dataset/call_kw", call, self.session("admin")))
        if "error" in body:
            raise Failure(f"{user} cannot have the language {lang}: {body['error']['data']['message']}")
        if self.languages.get(user, "en_US") != lang:
            self.sessions.pop(user, None)
            self.languages[user] = lang

    def admit(self, user: str, browser: Browser) -> None:
        """Log a user in."""
        browser.ask("Network.setCookie", name="session_id", value=self.session(user), url=self.url)

    def address(self, path: str) -> str:
        """The URL of a path in which `{module.name}` stands for the id of that record."""
        return self.url + re.sub(r"\{(\w+)\.(\w+)\}", lambda match: str(self._record(*match.groups())), path)

    def _record(self, module: str, name: str) -> int:
        row = self._row("SELECT res_id FROM ir_model_data WHERE module = %s AND name = %s", module, name)
        if not row:
            raise Failure(f"there is no record {module}.{name}")
        return row[0]

    def _row(self, query: str, *values):
        with self.connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()

    def _post(self, path: str, parameters: dict, cookie: str | None):
        headers = {"Content-Type": "application/json", **({"Cookie": f"session_id={cookie}"} if cookie else {})}
        body = json.dumps({"jsonrpc": "2.0", "method": "call", "params": parameters}).encode()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open(urllib.request.Request(self.url + path, body, headers), timeout=_PATIENCE)


def shots(names: list[str]) -> list[dict]:
    """What shots.toml lists, or the named part, over its defaults."""
    listed = tomllib.loads(_LIST.read_text(encoding="utf-8"))
    every = [{**listed.get("defaults", {}), **shot} for shot in listed.get("shot", [])]
    unknown = set(names) - {shot["name"] for shot in every}
    if unknown:
        sys.exit(f"shots.toml has no shot called {', '.join(sorted(unknown))}.")
    return [shot for shot in every if not names or shot["name"] in names]


def take(browser: Browser, site: Site, shot: dict) -> Path:
    """Take one shot; where it was saved."""
    width, height = shot["width"], shot["height"]
    browser.begin(width, height, shot["scale"])
    site.speak(shot["user"], shot["lang"])
    site.admit(shot["user"], browser)
    browser.open(site.address(shot["url"]))
    for step in shot.get("steps", []):
        # A step begins with what it does; a bare selector is clicked.
        kind, _, rest = step.partition(" ")
        if kind == "wait":
            browser.wait_for(rest)
        elif kind == "js":
            browser.script(f"(async () => {{ {rest} }})()")
        elif kind == "sleep":
            time.sleep(float(rest))
        else:
            browser.click(rest if kind == "click" else step)
    if shot.get("wait_for"):
        browser.wait_for(shot["wait_for"])
    browser.script(
        "document.fonts.ready.then(() => Promise.all(Array.from(document.images, (i) => i.decode().catch(() => 0))))"
    )
    browser.script("document.activeElement && document.activeElement.blur()")
    time.sleep(shot["settle"])
    file = _TARGET / f"{shot['name']}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(browser.picture(width, height, shot.get("crop")))
    return file


def main(arguments: list[str]) -> int:
    """Do a task.

    `languages NAME…` prints those of the shots; `take CHROMIUM URL DATABASE LANGUAGE NAME…` takes the shots of one;
    `cover CHROMIUM` takes the cover of the store's page.
    """
    task, *rest = arguments
    if task == "languages":
        print(*dict.fromkeys(shot["lang"] for shot in shots(rest)))
        return 0
    program, *rest = rest
    browser = Browser(program)
    try:
        if task == "cover":
            storefront.banner(browser)
            return 0
        url, database, language, *names = rest
        return _take_all(browser, Site(url, database), [shot for shot in shots(names) if shot["lang"] == language])
    finally:
        browser.close()


def _take_all(browser: Browser, site: Site, wanted: list[dict]) -> int:
    failed = 0
    for shot in wanted:
        try:
            file = take(browser, site, shot)
            storefront.publish(file)
            print(f"{shot['name']}: {file.relative_to(Path.cwd())}", flush=True)
        except Failure as failure:
            failed = 1
            broken = Path(tempfile.gettempdir()) / f"shot-{shot['name']}.png"
            broken.write_bytes(browser.picture(shot["width"], shot["height"], None))
            print(f"{shot['name']}: {failure}; what was there is in {broken}", file=sys.stderr)
    return failed


def _until(condition, complaint: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Failure(complaint)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
