"""./dev lint: formatting and the rules of the Odoo community, each linter counted as one test."""

import re
import time
from pathlib import Path
from xml.etree import ElementTree

from . import node, process, project, say
from .counts import Count
from .virtualenv import Environment

_PYLINT = (
    "--disable=all",
    "--enable=odoolint",
    # One file per capability is how this addon is laid out.
    "--disable=consider-merging-classes-inherited",
    # It is no module of the OCA's, and the repository's README is the addon's.
    "--disable=manifest-required-author,missing-readme",
)
_FOLDERS = ("devtools", "testing", "benchmarks", project.ADDON)
_PYTHON = (*_FOLDERS, "dev")


def check(environment: Environment, fix: bool = False) -> list[Count]:
    """Run every linter; with `fix`, let those that can mend what they find do so."""
    tools = node.modules(environment)
    variables = {**environment.variables(tools / ".bin"), "DEVTOOLS_NODE_MODULES": str(tools)}
    python = [part for part in _PYTHON if (project.ROOT / part).exists()]
    scripts = [*_files("*.js"), *_files("*.mjs")]
    pretty = [*scripts, *_files("*.scss")]
    linters = {
        "ruff check": [environment / "ruff", "check", "--quiet", *(["--fix"] if fix else []), *python],
        "ruff format": [environment / "ruff", "format", "--quiet", *([] if fix else ["--diff"]), *python],
        "pylint-odoo": [environment / "pylint", "--rcfile=pyproject.toml", "--score=no", *_PYLINT, project.ADDON],
        "eslint": [tools / ".bin/eslint", "--no-warn-ignored", *(["--fix"] if fix else []), *scripts],
        "prettier": [tools / ".bin/prettier", "--log-level=warn", "--write" if fix else "--check", *pretty],
    }
    if fix:
        # Rules first, shape last: a mended rule may leave a line to be formatted.
        say.line("Mending what can be mended.")
    counts = []
    for name, command in linters.items():
        began = time.monotonic()
        with say.step(name):
            code, printed = process.run(command, cwd=project.ROOT, env=variables)
        if code:
            say.error(printed.rstrip())
        counts.append(Count(f"lint: {name}", int(not code), int(bool(code)), 0, time.monotonic() - began))
    problems = [problem for path in _files("*.xml") for problem in xml_problems(path, fix)]
    for problem in problems:
        say.error(problem)
    return [*counts, Count("lint: xml", int(not problems), int(bool(problems)))]


def xml_problems(path: Path, fix: bool = False) -> list[str]:
    """What is wrong with the form of an XML file, and with its record ids."""
    name = path if not path.is_absolute() else path.relative_to(project.ROOT)
    full = project.ROOT / name
    text = full.read_text(encoding="utf-8")
    if fix:
        tidy = "\n".join(line.rstrip().replace("\t", " " * 4) for line in text.strip().splitlines()) + "\n"
        if tidy != text:
            full.write_text(tidy, encoding="utf-8")
            text = tidy
    problems = []
    try:
        root = ElementTree.fromstring(text.encode())
    except ElementTree.ParseError as error:
        return [f"{name}: {error}"]
    if not text.startswith('<?xml version="1.0" encoding="utf-8"') and root.tag == "odoo":
        problems.append(f'{name}:1: begin with <?xml version="1.0" encoding="utf-8"?>')
    if not text.endswith("\n") or text.endswith("\n\n"):
        problems.append(f"{name}: end with one newline")
    for number, line in enumerate(text.splitlines(), 1):
        if "\t" in line or line != line.rstrip():
            problems.append(f"{name}:{number}: a tab, or a space at the end of the line")
        # Attributes may be aligned; an element begins at a step of four.
        if re.match(r" *<[a-z/]", line) and (len(line) - len(line.lstrip())) % 4:
            problems.append(f"{name}:{number}: indent elements by four spaces")
    ids = [element.get("id") for element in root.iter() if element.tag in ("record", "template", "menuitem")]
    problems += [f"{name}: the id {one} is there twice" for one in sorted({i for i in ids if i and ids.count(i) > 1})]
    return problems


def _files(pattern: str) -> list[Path]:
    """The repository's files of a kind, relative to its root."""
    folders = [project.ROOT / name for name in _FOLDERS]
    found = [*project.ROOT.glob(pattern), *(path for folder in folders for path in folder.rglob(pattern))]
    return sorted(path.relative_to(project.ROOT) for path in found if "node_modules" not in path.parts)
