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
    """A headless Chromium with one page."""

    def __init__(self, program: str):
        self.profile = Path(tempfile.mkdtemp(prefix="shots-"))
        self.process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={self.profile}", "about:blank"], stderr=subprocess.DEVNULL
        )
        port_file = self.profile / "DevToolsActivePort"
        _until(lambda: port_file.exists() and port_file.read_text().count("\n"), "Chromium does not start")
        port = port_file.read_text().splitlines()[0]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        pages = json.load(opener.open(f"http://127.0.0.1:{port}/json"))
        page = next(page for page in pages if page["type"] == "page")
        self.socket = websocket.create_connection(page["webSocketDebuggerUrl"], timeout=_PATIENCE)
        self.last = 0
        for domain in ("Page", "Runtime", "Network"):
            self.ask(f"{domain}.enable")
        ahead = os.environ.get("DEVTOOLS_SECONDS_AHEAD")
        if ahead:
            self.ask("Page.addScriptToEvaluateOnNewDocument", source=_CLOCK % ahead)

    def ask(self, method: str, **parameters) -> dict:
        """Send one command and return its result."""
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": parameters}))
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
    site.speak(shot["user"], shot["lang"])
    browser.ask("Network.clearBrowserCookies")
    browser.ask("Network.setCookie", name="session_id", value=site.session(shot["user"]), url=site.url)
    phone = width < 600
    browser.ask(
        "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=shot["scale"], mobile=phone
    )
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
    """`languages NAME…` prints the languages that are needed; `take CHROMIUM URL DATABASE NAME…` takes the shots."""
    task, *rest = arguments
    if task == "languages":
        print(*sorted({shot["lang"] for shot in shots(rest)} - {"en_US"}))
        return 0
    program, url, database, *names = rest
    failed = 0
    browser = Browser(program)
    try:
        site = Site(url, database)
        for shot in shots(names):
            try:
                file = take(browser, site, shot)
                storefront.publish(file)
                print(f"{shot['name']}: {file.relative_to(Path.cwd())}")
            except Failure as failure:
                failed += 1
                broken = Path(tempfile.gettempdir()) / f"shot-{shot['name']}.png"
                broken.write_bytes(browser.picture(shot["width"], shot["height"], None))
                print(f"{shot['name']}: {failure}; what was there is in {broken}", file=sys.stderr)
        storefront.banner(browser)
    finally:
        browser.close()
    return 1 if failed else 0


def _until(condition, complaint: str) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise Failure(complaint)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
