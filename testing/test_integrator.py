"""The guide for integrators is right: its code, its names, and the answers to its calls."""

import json
import re
import shlex
import urllib.error
import urllib.request

import pytest

from devtools import project

EXAMPLES = project.ROOT / "examples"
GUIDE = (project.ROOT / "docs/integrator.md").read_text(encoding="utf-8")
FILES = re.compile(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CALLS = re.compile(r"^```console\n\$ (curl [^`]*?}')\n([^`]*)^```$", re.MULTILINE)
STATUS = {"odoo.exceptions.UserError": 422}
MAKE_KEY = """
user = env.ref("base.user_admin")
print("key:", user.with_user(user).env["res.users.apikeys"]._generate("rpc", "guide", None))
env.cr.commit()
"""


def sources(*folders):
    return "\n".join(
        path.read_text(encoding="utf-8") for folder in folders for path in (project.ADDON_PATH / folder).rglob("*.py")
    )


def chapter(title):
    return re.search(rf"^## {title}$(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL)[1]


def test_code_is_that_of_the_example():
    files = {
        str(path.relative_to(EXAMPLES)): path.read_text(encoding="utf-8")
        for path in EXAMPLES.rglob("*")
        if path.suffix in (".py", ".xml")
    }
    assert dict(FILES.findall(GUIDE)) == files


def test_each_method_to_extend_is_one():
    named = set(re.findall(r"`(_[a-z_]+)[`(]", chapter("What to extend")))
    made = set(re.findall(r"^ +def (_\w+)\(", sources("models", "controllers"), re.MULTILINE))
    assert len(named) > 50
    assert named - made == set()


def test_each_public_method_of_a_subscription_is_named():
    made = set(re.findall(r"^    def ((?:action_)?subscription_\w+)\(", sources("models"), re.MULTILINE))
    assert len(made) > 10
    assert made - set(re.findall(r"`(\w+)`", chapter("From outside: JSON-2"))) == set()


@pytest.fixture(scope="module")
def key(place, served):
    return re.search(r"key: (\w+)", place.odoo.script(served.database, MAKE_KEY, "Making an API key"))[1]


def test_calls_answer_as_the_guide_says(served, key):
    """The calls run in their order, in a new demonstration company."""
    calls = CALLS.findall(GUIDE)
    assert len(calls) >= 10
    for command, shown in calls:
        status, answer = call(command.replace("$URL", served.url).replace("$KEY", key))
        expected = read(shown)
        assert status == (STATUS.get(expected.get("name"), 200) if isinstance(expected, dict) else 200), answer
        assert_like(answer, expected, command)


def call(command):
    """Send the request of a curl command; return the HTTP status and the answer."""
    words = iter(shlex.split(command.replace("\\\n", " "))[1:])
    url, headers, data = "", {}, ""
    for word in words:
        if word == "-H":
            name, value = next(words).split(": ", 1)
            headers[name] = value
        elif word == "-d":
            data = next(words)
        else:
            url = word
    asked = urllib.request.Request(url, data.encode(), headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(asked, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def read(shown):
    """Parse an answer in the guide, without its ellipses."""
    return json.loads(re.sub(r",\s*…", "", shown))


def assert_like(answer, expected, command):
    """Compare an answer with the one in the guide; dates, amounts and ids may differ."""
    if isinstance(expected, dict):
        for name in expected:
            assert name in answer, (command, answer)
            assert_like(answer[name], expected[name], command)
    elif isinstance(expected, list):
        assert len(answer) >= len(expected), (command, answer)
        for one, other in zip(answer, expected, strict=False):
            assert_like(one, other, command)
    elif isinstance(expected, str):
        assert re.sub(r"\d+", "#", answer) == re.sub(r"\d+", "#", expected), (command, answer)
    else:
        assert type(answer) is type(expected), (command, answer)
