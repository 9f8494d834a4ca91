"""The rooms of `models/` are ordered: each extends and calls only the rooms above it. Checked from the source alone."""

import ast
import re
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent

from odoo.tests import BaseCase, tagged

MODELS = Path(__file__).parents[1] / "models"


class House:
    """The definitions and names found in the source of a package of models, by room and file."""

    def __init__(self, root):
        """Read a package of rooms.

        :param Path root: the folder of the package
        """
        self.root = root
        self.rooms = self._imported(root)
        self.files = [root / room / f"{name}.py" for room in self.rooms for name in self._imported(root / room)]
        self.trees = {path: ast.parse(path.read_text()) for path in self.files}
        self.modules = self.trees | {
            path: ast.parse(path.read_text())
            for room in self.rooms
            for path in sorted((root / room).glob("*.py"))
            if path not in self.trees and path.name != "__init__.py"
        }

    @staticmethod
    def _imported(folder):
        tree = ast.parse((folder / "__init__.py").read_text())
        return [alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]

    def room(self, path):
        """Return the number of a file's room, 0 for the top one."""
        return self.rooms.index(path.parent.name)

    def definitions(self):
        """Yield file, extended models, name and whether it calls super, in the order in which Odoo applies them."""
        for path, tree in self.trees.items():
            for node in tree.body:
                if isinstance(node, ast.ClassDef):
                    models = self._model_names(node)
                    for function in node.body:
                        if isinstance(function, ast.FunctionDef):
                            yield path, models, function.name, self._calls_super(function)

    @staticmethod
    def _model_names(node):
        names = {}
        for statement in node.body:
            target = isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", None)
            if target in ("_name", "_inherit"):
                names[target] = ast.literal_eval(statement.value)
        inherited = names.get("_inherit", [])
        inherited = [inherited] if isinstance(inherited, str) else inherited
        return names.get("_name") or next(iter(inherited), None)

    @staticmethod
    def _calls_super(function):
        # A base may call another method with super(): _write_by_hand ends in write.
        return any(
            isinstance(node, ast.Attribute)
            and node.attr == function.name
            and isinstance(node.value, ast.Call)
            and isinstance(node.value.func, ast.Name)
            and node.value.func.id == "super"
            for node in ast.walk(function)
        )

    def fields(self):
        """Yield file, model and name of each field of the addon."""
        for path, tree in self.trees.items():
            for node in tree.body:
                for statement in node.body if isinstance(node, ast.ClassDef) else ():
                    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
                        function = statement.value.func
                        if isinstance(function, ast.Attribute) and getattr(function.value, "id", "") == "fields":
                            yield path, self._model_names(node), statement.targets[0].id

    def overrides_before_their_base(self):
        """Return the methods whose base is loaded after a file that overrides them, as messages."""
        seen, wrong = defaultdict(list), []
        for path, model, name, calls_super in self.definitions():
            if not calls_super and seen[model, name]:
                earlier = ", ".join(f"{other.parent.name}/{other.name}" for other in seen[model, name])
                wrong.append(
                    f"{path.parent.name}/{path.name} defines {name} of {model}, which {earlier} extends before"
                )
            seen[model, name].append(path)
        return wrong

    def calls_downwards(self):
        """Return the places where a room uses a method, field or module of a room below it, as messages."""
        first = {}
        for path, _model, name, calls_super in self.definitions():
            # Methods that always call super are Odoo's own.
            if not calls_super:
                first[name] = min(first.get(name, len(self.rooms)), self.room(path))
        # Fields of the addon's own models have general names, such as "date", that are also used elsewhere.
        distinct = {name for _path, model, name in self.fields() if model.split(".")[:2] != ["sale", "subscription"]}
        for path, _model, name in self.fields():
            if name in distinct:
                first[name] = min(first.get(name, len(self.rooms)), self.room(path))
        odoo = {name for _path, _model, name, calls_super in self.definitions() if calls_super} - first.keys()
        wrong = []
        for path, tree in self.modules.items():
            here = self.room(path)
            for node in ast.walk(tree):
                for name in self._names(node):
                    if name not in odoo and first.get(name, 0) > here:
                        below = self.rooms[first[name]]
                        wrong.append(f"{path.parent.name}/{path.name}:{node.lineno} names {name} of {below}")
                if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module:
                    room = node.module.split(".")[0]
                    if room in self.rooms and self.rooms.index(room) > here:
                        wrong.append(f"{path.parent.name}/{path.name}:{node.lineno} imports {node.module}")
        return wrong

    @staticmethod
    def _names(node):
        if isinstance(node, ast.Attribute):
            return [node.attr]
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            # Domains, dependencies and values name fields in strings, along paths such as "order_id.end_date".
            return node.value.split(".") if re.fullmatch(r"[a-z_.]+", node.value) else []
        return []

    def rooms_without_purpose(self):
        """Return the rooms whose package does not state its purpose."""
        return [
            room
            for room in self.rooms
            if not ast.get_docstring(ast.parse((self.root / room / "__init__.py").read_text()))
        ]

    def files_never_loaded(self):
        """Return the files imported by neither a package nor another file."""
        imported = {
            node.module.split(".")[-1]
            for tree in self.modules.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.level and node.module
        }
        return [
            f"{path.parent.name}/{path.name}"
            for path in self.modules
            if path not in self.trees and path.stem not in imported
        ]


@tagged("post_install", "-at_install")
class TestRooms(BaseCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.house = House(MODELS)

    def test_base_of_a_method_is_loaded_before_what_overrides_it(self):
        self.assertEqual(self.house.overrides_before_their_base(), [])

    def test_no_room_calls_down_the_ladder(self):
        self.assertEqual(self.house.calls_downwards(), [])

    def test_each_room_says_what_it_is_for(self):
        self.assertEqual(self.house.rooms_without_purpose(), [])

    def test_each_file_is_loaded(self):
        self.assertEqual(self.house.files_never_loaded(), [])


@tagged("post_install", "-at_install")
class TestRoomsOfAnotherHouse(BaseCase):
    """Each rule is broken on purpose in a package of two rooms."""

    def setUp(self):
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def house(self, upper, lower, order=("upper", "lower"), purpose='"""What it is for."""\n'):
        """Return a package of two rooms, each with one file.

        :param str upper: methods of `sale.order` in the upper room
        :param str lower: methods of `sale.order` in the lower room
        :param tuple order: load order of the rooms
        :param str purpose: docstring of the package of each room
        """
        (self.root / "__init__.py").write_text("".join(f"from . import {room}\n" for room in order))
        for room, methods in (("upper", upper), ("lower", lower)):
            (self.root / room).mkdir()
            (self.root / room / "__init__.py").write_text(f"{purpose}from . import sale_order\n")
            code = 'class SaleOrder(models.Model):\n    _inherit = "sale.order"\n\n' + indent(methods, "    ")
            (self.root / room / "sale_order.py").write_text(code)
        return House(self.root)

    def test_base_loaded_after_its_override_is_found(self):
        base, override = "def _close(self):\n    return 1\n", "def _close(self):\n    return super()._close()\n"
        house = self.house(upper=override, lower=base)
        self.assertEqual(
            house.overrides_before_their_base(),
            ["lower/sale_order.py defines _close of sale.order, which upper/sale_order.py extends before"],
        )
        self.assertEqual(self.reordered(house).overrides_before_their_base(), [])

    def test_base_that_calls_another_method_with_super_is_found(self):
        base = "def _write_by_hand(self, vals):\n    return super().write(vals)\n"
        house = self.house(upper=base.replace(".write(", "._write_by_hand("), lower=base)
        self.assertEqual(
            house.overrides_before_their_base(),
            ["lower/sale_order.py defines _write_by_hand of sale.order, which upper/sale_order.py extends before"],
        )

    def reordered(self, house):
        """Return the same package, loaded in reverse order."""
        (house.root / "__init__.py").write_text("from . import lower\nfrom . import upper\n")
        return House(house.root)

    def test_method_of_a_room_below_is_found(self):
        house = self.house(upper="def _bill(self):\n    self._charge()\n", lower="def _charge(self):\n    pass\n")
        self.assertEqual(house.calls_downwards(), ["upper/sale_order.py:5 names _charge of lower"])

    def test_field_of_a_room_below_is_found(self):
        house = self.house(
            upper='def _bill(self):\n    return [("order_id.card_id", "!=", False)]\n',
            lower="card_id = fields.Many2one()\n",
        )
        self.assertEqual(house.calls_downwards(), ["upper/sale_order.py:5 names card_id of lower"])

    def test_import_from_a_room_below_is_found(self):
        house = self.house(upper="def _bill(self):\n    from ..lower import sale_order\n", lower="pass\n")
        self.assertEqual(house.calls_downwards(), ["upper/sale_order.py:5 imports lower"])

    def test_room_without_a_purpose_is_found(self):
        house = self.house(upper="pass\n", lower="pass\n", purpose="")
        self.assertEqual(house.rooms_without_purpose(), ["upper", "lower"])

    def test_file_that_is_not_loaded_is_found(self):
        house = self.house(upper="pass\n", lower="pass\n")
        (house.root / "lower" / "forgotten.py").write_text("")
        self.assertEqual(House(house.root).files_never_loaded(), ["lower/forgotten.py"])
