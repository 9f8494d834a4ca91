"""The integrator guide is correct: its code, its names, and the answers to its calls."""

import ast
import json
import re
import shlex
import urllib.error
import urllib.request
from collections import Counter

import pytest

from devtools import project

EXAMPLES = project.ROOT / "examples"
GUIDE = (project.ROOT / "docs/integrator.md").read_text(encoding="utf-8")
SEAMS = project.ROOT / "testing/addons/subscription_suspended/tests/test_seams.py"
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


def test_code_matches_the_example():
    files = {
        str(path.relative_to(EXAMPLES)): path.read_text(encoding="utf-8")
        for path in EXAMPLES.rglob("*")
        if path.suffix in (".py", ".xml")
    }
    assert dict(FILES.findall(GUIDE)) == files


def seams():
    """Return the methods in the tables of *What to extend*: pairs of model or controller and documented signature."""
    found = []
    for row in re.findall(r"^\| .* \|$", chapter("What to extend"), re.MULTILINE):
        _purpose, methods, called_on, _returns = (cell.strip() for cell in row.strip("|").split(" | "))
        owner = re.match(r"(?:the (?:model|controller) )?`([\w.]+)`", called_on)
        owner = owner[1] if owner and owner[1] != "sale_order" else "sale.order"
        found += [(owner, signature) for signature in re.findall(r"`(_\w+\(.*?\))`", methods)]
    return found


def classes():
    """Yield each class in the addon's source, with the name of the extended model or its own."""
    for folder in ("models", "reports", "controllers"):
        for path in (project.ADDON_PATH / folder).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    yield model_of(node), node


def model_of(node):
    names = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            names[statement.targets[0].id] = statement.value
    name = names.get("_name") or names.get("_inherit")
    name = ast.literal_eval(name) if name else node.name
    return name if isinstance(name, str) else name[0]


def signature_of(function):
    """Return the arguments of a method as written in the guide: without `self` and defaults."""
    arguments = [argument.arg for argument in function.args.args[1:]]
    if function.args.kwarg:
        arguments.append(f"**{function.args.kwarg.arg}")
    return f"{function.name}({', '.join(arguments)})"


def test_each_method_to_extend_has_the_signature_of_the_guide():
    made = {
        (owner, signature_of(function))
        for owner, node in classes()
        for function in node.body
        if isinstance(function, ast.FunctionDef)
    }
    assert len(seams()) > 100
    assert set(seams()) - made == set()


def test_each_method_to_extend_is_named_once():
    assert [seam for seam, times in Counter(seams()).items() if times > 1] == []


def test_each_method_to_extend_is_extended_in_a_test():
    """`testing/test_extension.py` runs these tests."""
    extended = set()
    for node in ast.walk(ast.parse(SEAMS.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("extend", "extend_values"):
            owner, name = node.args[:2]
            if isinstance(name, ast.Constant):
                extended.add((owner.value if isinstance(owner, ast.Constant) else owner.id, name.value))
    named = {(owner, signature.partition("(")[0]) for owner, signature in seams()}
    assert named - extended == set()
    # Methods of no use to others are not in the guide.
    assert extended - named == {("sale.order", "_bill")}


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
    """Send the request of a curl command, and return the HTTP status and the answer."""
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
