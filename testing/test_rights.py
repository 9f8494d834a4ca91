"""Nobody can change the money or dates of others: all that each kind of user may do, tried in every way.

The table is in `testing/rights/table.py`. Everything is tried inside one transaction of Odoo and rolled back.
"""

import inspect
import json
import re
import sys
from collections import Counter

import pytest

from devtools import project
from devtools.database import Databases
from testing.rights import attacks, stage, table

ADDONS = project.ROOT / "testing" / "addons"
OURS = f"odoo.addons.{project.ADDON}."
WAYS = ("write", "create", "context", "default")
"""How a field can be written: see `Stage.forge`."""
VERBS = ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND")


@pytest.fixture(scope="module")
def scene(place):
    """The stage, with Odoo in this process, on a copy of the addon's template with the fake provider's addon."""
    databases = Databases(place.odoo.with_addons(ADDONS))
    template, _logged = databases.addon_template()
    name = place.scratch.database(databases, template, "rights")
    databases.odoo.install(name, ["payment_fake"])

    import odoo.sql_db
    from odoo.modules.registry import Registry
    from odoo.service.server import load_server_wide_modules
    from odoo.tools import config, mute_logger

    config.parse_config(["-c", str(databases.odoo.config), "-d", name, "--log-level=critical"], setup_logging=False)
    load_server_wide_modules()
    registry = Registry(name)
    # Odoo logs refusals of PostgreSQL as errors.
    with mute_logger("odoo.sql_db"), registry.cursor() as cr:
        with stage.in_one_transaction(registry, cr):
            yield stage.Stage(registry, cr)
        cr.rollback()
    odoo.sql_db.close_all()


def rows(page):
    """Yield the rows of a table: the subject, the record to try it on, and the result expected for each kind."""
    head, *lines = page.strip().splitlines()
    kinds = head.split()[2:]
    assert set(stage.KINDS) <= set(kinds)
    for line in lines:
        name, target, *expected = line.split()
        yield name, target, dict(zip(kinds, expected, strict=True))


def assert_none(wrong):
    assert not wrong, "\n".join(["", *wrong])


def sources():
    """Return the Python files of the addon, without its tests and arithmetic."""
    for folder in ("models", "wizards", "reports", "controllers"):
        for path in (project.ADDON_PATH / folder).rglob("*.py"):
            yield path.read_text(encoding="utf-8")


# Methods


def public_methods(registry):
    """Return every method defined by the addon that can be called from outside."""
    return {
        f"{name}.{method}"
        for name, model in registry.models.items()
        for part in model.mro()
        if part.__module__.startswith(OURS) and not model._abstract
        for method, value in vars(part).items()
        if not method.startswith("_") and callable(value) and not getattr(value, "_api_private", False)
    }


def test_each_public_method_has_a_row(scene):
    named = {name for name, _target, _expected in rows(table.METHODS)}
    made = public_methods(scene.registry)
    covered = {name for name in made if name in table.COVERED or name.rsplit(".", 1)[1] in table.BY_TABLES}
    assert (made - covered - named, named - made) == (set(), set())


def test_each_public_method_does_what_its_row_says(scene):
    wrong = []
    for name, target, expected in rows(table.METHODS):
        model, method = name.rsplit(".", 1)
        for kind, right in expected.items():
            found = scene.attempt(scene.call_on, kind, model, method, target)
            sign = found.sign
            if sign == "+" and right == "o" and not scene.names(json.dumps(found.result, default=str)):
                sign = "o"
            if sign != right or (right != "+" and found.changes):
                wrong.append(f"{name:55}{kind:10} expected {right}: {found}")
    assert_none(wrong)


@pytest.mark.parametrize("name", ["subscription_close", "subscription_pause", "subscription_renew"])
def test_external_api_refuses_the_users_refused_by_the_table(scene, name):
    """Calls over HTTP have the same results as calls in this process."""
    [(_name, target, expected)] = [row for row in rows(table.METHODS) if row[0] == f"sale.order.{name}"]
    statuses = {"+": (200,), "-": (401, 403), "!": (422,)}
    arguments = {"reason_id": scene.reason.id} if name == "subscription_close" else {}
    wrong = []
    for kind, right in expected.items():
        found = scene.attempt(scene.ask_api, kind, "sale.order", name, getattr(scene, target).ids, **arguments)
        if found.result.status_code not in statuses[right] or bool(found.changes) != (right == "+"):
            wrong.append(f"{name:55}{kind:10} expected {right}: {found.result.text} {found}")
    assert_none(wrong)


# Models and fields


def own_models(registry):
    return {
        name
        for name, model in registry.models.items()
        if model._original_module == project.ADDON and not model._abstract
    }


def test_each_model_has_a_row(scene):
    assert own_models(scene.registry) - {name for name, _target, _expected in rows(table.MODELS)} == set()


def test_each_model_is_accessible_as_its_row_says(scene):
    wrong = []
    for model, target, expected in rows(table.MODELS):
        for kind, right in expected.items():
            done = ""
            for letter, method in {"c": "create", "r": "read", "w": "write", "u": "unlink"}.items():
                found = scene.attempt(scene.handle, kind, model, method, target)
                done += letter if found.sign == "+" else ""
                if found.changes and letter not in right:
                    wrong.append(f"{model:35}{kind:10} {method}: {found}")
            if done != right.strip("."):
                wrong.append(f"{model:35}{kind:10} expected {right}: {done}")
    assert_none(wrong)


def added_fields(registry):
    """Return the stored fields that the addon adds to models of Odoo: {model: names}."""
    added = {}
    for name, model in registry.models.items():
        if model._original_module != project.ADDON and not model._abstract:
            names = sorted(
                field.name
                for field in model._fields.values()
                if field.store and not field.inherited and field._modules and field._modules[0] == project.ADDON
            )
            added |= {name: names} if names else {}
    return added


def listed_fields(*writers):
    return {
        model: sorted(name for who, names in page.items() if who in writers for name in names.split())
        for model, page in table.FIELDS.items()
    }


def test_each_stored_field_has_a_row(scene):
    listed = listed_fields(table.METHODS_ONLY, table.PEOPLE, table.RECORD)
    assert added_fields(scene.registry) == listed


@pytest.mark.parametrize("way", WAYS)
def test_nobody_writes_fields_reserved_for_methods(scene, way):
    wrong = []
    for model, names in listed_fields(table.METHODS_ONLY).items():
        for name in names:
            for kind in stage.KINDS:
                found = scene.attempt(scene.forge, kind, model, name, way)
                if found.changes or found.sign == "?":
                    wrong.append(f"{model + '.' + name:45}{kind:10}: {found}")
    assert_none(wrong)


def test_fields_open_to_users_are_written_by_salespeople_only(scene):
    wrong = []
    for model, names in listed_fields(table.PEOPLE).items():
        for name in names:
            for kind in stage.KINDS.keys() - {"owner", "all", "admin"}:
                found = scene.attempt(scene.forge, kind, model, name, "write")
                if found.changes or found.sign == "+":
                    wrong.append(f"{model + '.' + name:45}{kind:10}: {found}")
    assert_none(wrong)


# The context


def test_each_context_key_has_a_row():
    keys = {key for text in sources() for key in re.findall(r"""context(?:\.get\(|\[)\s*["'](\w+)["']""", text)}
    assert keys - table.CONTEXT.keys() == set()


@pytest.mark.parametrize(("method", "target"), table.USED)
def test_context_keys_change_nothing(scene, method, target):
    guards = {key for text in sources() for key in re.findall(r'Guard\(\s*"(\w+)"', text)}
    assert guards
    sealed = [{key: value} for key in sorted(guards) for value in (True, {"amount": 1}, [1], "paid")]
    plain = scene.effect(method, target, {})
    assert plain
    wrong = []
    for context in (*table.SPOKEN, *sealed):
        found = scene.effect(method, target, context)
        if found != plain:
            less, more = Counter(plain) - Counter(found), Counter(found) - Counter(plain)
            wrong.append(f"{context}: less {dict(less)}, more {dict(more)}")
    assert_none(wrong)


# Addresses


def addresses():
    """Return the addresses of the addon with their HTTP methods: {address: verbs}."""
    found = {}
    modules = [module for name, module in sys.modules.items() if name.startswith(f"{OURS}controllers.")]
    for module in modules:
        for part in vars(module).values():
            if inspect.isclass(part) and part.__module__ == module.__name__:
                for function in vars(part).values():
                    routing = getattr(function, "original_routing", {})
                    for address in routing.get("routes") or ():
                        found.setdefault(address, set()).update(routing.get("methods") or ["GET", "POST"])
    return found


def test_each_address_has_a_row(scene):
    named = {(address, verb) for address, verb, _expected in rows(table.ROUTES)}
    made = {(address, verb) for address, verbs in addresses().items() for verb in verbs & {"GET", "POST"}}
    assert made - named == set()
    assert {address for address, _verb in named} == {address for address, _verb in made}


def is_refused(answer):
    way = answer.headers.get("Location", "")
    return answer.status_code >= 400 or "/web/login" in way or way.rstrip("/").endswith("/my")


def test_each_address_is_accessible_as_its_row_says(scene):
    wrong = []
    for address, verb, expected in rows(table.ROUTES):
        for kind, right in expected.items():
            found = scene.attempt(scene.ask, kind, address, verb)
            answer = found.result
            done = found.changes if verb == "POST" else scene.names(answer.text, by_id=False)
            sign = "-" if is_refused(answer) else "+" if done else "o"
            if sign != right or answer.status_code >= 500 or (found.changes and right != "+"):
                wrong.append(f"{address:50}{verb:5}{kind:10} expected {right}: {sign} {answer.status} {found}")
    assert_none(wrong)


def test_only_a_form_changes_anything(scene):
    wrong = []
    for address in addresses():
        form = address.startswith("/my/") and address.rsplit("/", 1)[-1] in table.FORMS
        for verb in VERBS:
            for kind in ("nobody", "link", "stranger", "colleague", "owner", "abroad"):
                found = scene.attempt(scene.ask, kind, address, verb)
                status = found.result.status_code
                viewed = ("mail_message", "mail_mail") if address == table.VIEWED else ()
                if (
                    found.changes.keys() - set(viewed)
                    or status >= 500
                    or (form and kind in ("link", "colleague") and status != 405)
                ):
                    wrong.append(f"{address:50}{verb:9}{kind:10} {status} {found}")
    assert_none(wrong)


def test_a_form_of_another_site_changes_nothing(scene):
    wrong = []
    for address in [address for address, verbs in addresses().items() if "POST" in verbs]:
        for kind in ("link", "colleague", "owner"):
            found = scene.attempt(scene.ask, kind, address, "POST", with_token=False)
            if found.changes or not is_refused(found.result) or found.result.status_code >= 500:
                wrong.append(f"{address:50}{kind:10} {found.result.status} {found}")
    assert_none(wrong)


# Indirect attacks


@pytest.mark.parametrize("attack", attacks.ALL, ids=lambda attack: attack.__name__)
def test_nobody_changes_records_of_others_by(scene, attack):
    wrong = []
    for kind in attack.kinds:
        found = scene.attempt(attack, scene, kind)
        if found.changes.keys() - set(attack.besides) or found.sign == "?":
            wrong.append(f"{kind:10} {found}")
    assert_none(wrong)


@pytest.mark.parametrize("look", attacks.LOOKS, ids=lambda look: look.__name__)
def test_nobody_sees_records_of_others_by(scene, look):
    wrong = []
    for kind in look.kinds:
        found = scene.attempt(look, scene, kind)
        if found.result:
            wrong.append(f"{kind:10} {found.result}")
    assert_none(wrong)
