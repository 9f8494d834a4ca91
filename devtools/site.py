"""A database that Odoo serves, with sessions of its users. Used inside the virtual environment."""

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import requests

from . import cache, process, serve
from .console import Stop
from .database import Databases
from .odoo import Odoo
from .tests import free_port

if TYPE_CHECKING:
    from playwright.sync_api import Page


@contextlib.contextmanager
def served(odoo: Odoo, database: str) -> Iterator["Site"]:
    """Serve a database on a free port."""
    port = free_port()
    site = Site(odoo, database, f"http://127.0.0.1:{port}")
    log = cache.log(f"served-{port}.log")
    command = odoo.command("-d", database, "--http-port", str(port), f"--db-filter=^{database}$")
    server = odoo.start(command, log)
    try:
        serve.wait_for(server, site.url, log)
        yield site
    finally:
        process.stop(server)


class Site:
    """A served database: its sessions, records and rows."""

    def __init__(self, odoo: Odoo, database: str, url: str):
        self.database = database
        self.url = url
        self._databases = Databases(odoo)
        self._sessions: dict[str, requests.Session] = {}
        self._languages: dict[str, str] = {}

    def session(self, user: str) -> requests.Session:
        """Return a user's session. The password of Odoo's demonstration users is their login."""
        if user not in self._sessions:
            session = requests.Session()
            # This machine's own address needs no proxy.
            session.trust_env = False
            parameters = {"db": self.database, "login": user, "password": user}
            session.post(f"{self.url}/web/session/authenticate", json={"params": parameters}).raise_for_status()
            self._sessions[user] = session
        return self._sessions[user]

    def log_in(self, page: "Page", user: str) -> None:
        """Give a page the session of a user."""
        cookie = self.session(user).cookies["session_id"]
        page.context.add_cookies([{"name": "session_id", "value": cookie, "url": self.url}])

    def set_language(self, user: str, language: str) -> None:
        """Set a user's language. Odoo writes it, because it caches languages."""
        if self._languages.get(user) == language:
            return
        [[user_id]] = self.sql(f"SELECT id FROM res_users WHERE login = '{user}'")
        call = {"model": "res.users", "method": "write", "args": [[int(user_id)], {"lang": language}], "kwargs": {}}
        answer = self.session("admin").post(f"{self.url}/web/dataset/call_kw", json={"params": call}).json()
        if "error" in answer:
            raise Stop(f"{user} cannot use the language {language}: {answer['error']['data']['message']}")
        # A session keeps the language that it began with.
        self._sessions.pop(user, None)
        self._languages[user] = language

    def address(self, path: str) -> str:
        """Return the URL of a path, in which `{module.name}` stands for the id of that record."""
        return self.url + re.sub(r"\{(\w+\.\w+)\}", lambda match: str(self.record_id(match[1])), path)

    def record_id(self, external_id: str) -> int:
        """Return the id of the record `module.name`."""
        module, name = external_id.split(".")
        rows = self.sql(f"SELECT res_id FROM ir_model_data WHERE module = '{module}' AND name = '{name}'")
        if not rows:
            raise Stop(f"There is no record {external_id}.")
        return int(rows[0][0])

    def sql(self, statement: str) -> list[list[str]]:
        """Run SQL on the database, and return its rows."""
        return self._databases.sql(statement, self.database)
