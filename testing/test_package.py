"""The wheel contains only the addon. Odoo finds it where pip installs it, installs it, and upgrades it."""

import email
import fnmatch
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from devtools import process, project, wheel
from devtools.odoo import troubles
from devtools.virtualenv import Environment

HOME = f"odoo/addons/{project.ADDON}/"
PAGE = project.ADDON_PATH / "static/description/index.html"
PICTURES = project.ROOT / "docs/images"


@pytest.fixture(scope="module")
def package(place, tmp_path_factory):
    return wheel.build(place.odoo.environment, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def content(package):
    """The names of the files in the wheel, without the package metadata."""
    with zipfile.ZipFile(package) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def installed(place, package, tmp_path_factory):
    """Odoo in a new virtual environment with only the wheel installed."""
    fresh = Environment(tmp_path_factory.mktemp("fresh"))
    process.output([place.odoo.environment.python, "-m", "venv", "--without-pip", fresh.path], "Making the environment")
    # Odoo, its requirements and pip are used in place.
    lent = f"{place.odoo.environment.packages}\n{place.odoo.source.path}\n"
    (fresh.packages / "lent.pth").write_text(lent, encoding="utf-8")
    install = [fresh.python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", package]
    process.output(install, "Installing the wheel", env=fresh.variables())
    return place.odoo.installed_in(fresh)


@pytest.fixture(scope="module")
def database(place, base):
    return place.scratch.database(place.databases, base, "package")


def test_wheel_contains_the_files_tracked_by_git(content):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        asked = subprocess.run(command, cwd=project.ADDON_PATH, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this folder is no git repository")
    known = {name for name in asked.stdout.splitlines() if (project.ADDON_PATH / name).exists()}
    assert content == {HOME + name for name in known - {"pyproject.toml"} | {"LICENSE"}}


def test_wheel_leaves_out_working_files(place, tmp_path, monkeypatch):
    addon = tmp_path / project.ADDON
    for name in ("__init__.py", "models/order.py", ".hypothesis/x", "__pycache__/x.pyc", "old.pyc", "models/order.py~"):
        (addon / name).parent.mkdir(parents=True, exist_ok=True)
        (addon / name).touch()
    (addon / "__manifest__.py").write_text(str(project.manifest()), encoding="utf-8")
    (addon / "pyproject.toml").write_bytes((project.ADDON_PATH / "pyproject.toml").read_bytes())
    monkeypatch.setattr(project, "ADDON_PATH", addon)
    with zipfile.ZipFile(wheel.build(place.odoo.environment, tmp_path)) as archive:
        names = {name.removeprefix(HOME) for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {"__init__.py", "__manifest__.py", "models/order.py", "LICENSE"}


def test_wheel_has_every_file_that_the_manifest_names(content):
    manifest = project.manifest()
    named = [HOME + name for key in ("data", "demo", "images") for name in manifest[key]]
    named += [f"odoo/addons/{path}" for paths in manifest["assets"].values() for path in paths]
    assert [pattern for pattern in named if not fnmatch.filter(content, pattern)] == []


def test_metadata_come_from_the_manifest(package):
    with zipfile.ZipFile(package) as archive:
        [name] = fnmatch.filter(archive.namelist(), "*.dist-info/METADATA")
        metadata = email.message_from_bytes(archive.read(name))
    manifest = project.manifest()
    assert metadata["Name"] == f"odoo-addon-{project.ADDON}"
    assert metadata["Version"] == manifest["version"]
    assert metadata.get_all("Requires-Dist") == [f"odoo=={project.SERIES}.*"]
    assert metadata["Summary"] == manifest["summary"]
    assert metadata["License"] == manifest["license"]
    assert metadata.get_payload(decode=True).decode() == (project.ADDON_PATH / "README.rst").read_text(encoding="utf-8")


def test_changelog_describes_this_version():
    changelog = (project.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## {project.manifest()['version']}\n" in changelog


class TestPage:
    """The page shown in Odoo's list of apps and its store."""

    def test_only_displayed_pictures_are_included(self):
        shown = set(re.findall(r'src="([^"]+)"', PAGE.read_text(encoding="utf-8")))
        there = {path.name for path in PAGE.parent.iterdir()}
        assert there - {PAGE.name, "icon.png", "icon.svg", "banner.png"} == shown

    def test_pictures_match_the_documentation(self):
        """If this fails, run `./dev shots`."""
        for name in re.findall(r'src="([^"]+)"', PAGE.read_text(encoding="utf-8")):
            here, there = (Image.open(folder / name).convert("RGB") for folder in (PAGE.parent, PICTURES))
            assert here.size == there.size, name
            # The palette of 256 colours is close to the original colours.
            assert max(high for _low, high in ImageChops.difference(here, there).getextrema()) < 32, name

    def test_pictures_load_quickly(self):
        assert sum(path.stat().st_size for path in PAGE.parent.iterdir()) < 1_500_000

    def test_page_is_plain(self):
        """Odoo removes scripts and styles, and the store refuses external links."""
        text = PAGE.read_text(encoding="utf-8")
        assert set(re.findall(r"<(\w+)", text)) <= {"section", "h1", "h2", "p", "ul", "li", "b", "img"}
        assert set(re.findall(r"\s([\w-]+)=", text)) <= {"class", "src", "alt"}
        assert "//" not in text


class TestInstalled:
    """The tests run in this order."""

    def test_odoo_finds_the_addon_among_the_packages(self, installed):
        code = f"""
from odoo.modules import initialize_sys_path
from odoo.modules.module import Manifest
from odoo.tools import config
config.parse_config(["-c", "{installed.config}"], setup_logging=False)
initialize_sys_path()
print(Manifest.for_addon("{project.ADDON}").path)
import odoo.addons.{project.ADDON}.models.subscription.sale_order as room
print(room.__file__)
"""
        printed = process.output([installed.environment.python, "-c", code], "Looking", env=installed.variables())
        addon = installed.environment.packages / HOME
        assert [Path(line) for line in printed.split()] == [addon, addon / "models/subscription/sale_order.py"]

    def test_installs(self, installed, place, database):
        assert troubles(installed.install(database, [project.ADDON])) == []
        assert self._state(place, database) == [["installed", project.manifest()["version"]]]

    def test_page_is_shown_with_its_pictures(self, installed, database):
        code = f"print(env['ir.module.module'].search([('name', '=', '{project.ADDON}')]).description_html)"
        page = installed.script(database, code, "Reading the page")
        shown = re.findall(rf'src="/{project.ADDON}/static/description/([^"]+)"', page)
        assert shown == re.findall(r'src="([^"]+)"', PAGE.read_text(encoding="utf-8"))

    def test_upgrades_to_the_files_of_the_repository(self, place, database):
        assert troubles(place.odoo.install(database, [project.ADDON], update=True)) == []
        assert self._state(place, database) == [["installed", project.manifest()["version"]]]

    @staticmethod
    def _state(place, database):
        query = f"SELECT state, latest_version FROM ir_module_module WHERE name = '{project.ADDON}'"
        return [list(row) for row in place.databases.sql(query, database)]
