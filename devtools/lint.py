"""./dev lint: the hooks of .pre-commit-config.yaml on all files, each counted as one test."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import cache, console, process, project, workspace
from .console import Stop
from .counts import Count
from .virtualenv import Environment

_HOOK = re.compile(r"^.+?\.{3,}(?P<nothing>\(no files to check\))?(?P<end>Passed|Failed|Skipped)$", re.M)
_DETAIL = re.compile(r"^- (hook id|duration|exit code): (.*)\n?", re.M)
_DIFF = "All changes made by hooks:\n"


class NoRepository(Stop):
    """What is here was unpacked, not cloned."""


def check(fix: bool = False) -> list[Count]:
    """Run every hook and count it; with `fix`, first let those that can mend what they find do so.

    :raises NoRepository: git does not know which files are the project's
    """
    files = _files()
    environment = workspace.environment()
    variables = _variables(environment)
    pre_commit = environment / "pre-commit"
    with console.step("Making the linters ready"):
        process.output([pre_commit, "install-hooks"], "Installing the linters", cwd=project.ROOT, env=variables)
    command = [pre_commit, "run", "--verbose", "--color=never", "--show-diff-on-failure", "--files", *files]
    if fix:
        with console.step("Mending what can be mended"):
            process.run(command, cwd=project.ROOT, env=variables)
    # Hooks mend what they find: to check alone, they get a copy.
    with _copy(files, variables) as copy, console.step("Running the linters"):
        code, printed = process.run(command, cwd=copy, env=variables)
    counts = _counts(printed.replace(f"{copy}/", ""))
    if not counts or (code and not any(count.failed for count in counts)):
        raise process.explain("pre-commit", printed)
    return counts


def _files() -> list[str]:
    """The repository's files, and those that are about to be."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    code, printed = process.run(command, cwd=project.ROOT, env=_outside_git(dict(os.environ)))
    if code and (project.ROOT / ".git").exists():
        raise process.explain("Listing the files of the repository", printed)
    if code:
        raise NoRepository(
            "The linters ask git which files are the project's, and this folder is no repository:"
            " clone the project, or run `git init` here."
        )
    return [name for name in printed.split("\0") if name and os.path.lexists(project.ROOT / name)]


def _variables(environment: Environment) -> dict[str, str]:
    """What is installed and remembered stays in the cache of the project."""
    return {
        **_outside_git(environment.variables()),
        "PRE_COMMIT_HOME": str(cache.home() / "pre-commit"),
        "PYLINTHOME": str(cache.home() / "pylint"),
        "VIRTUALENV_OVERRIDE_APP_DATA": str(cache.home() / "virtualenv"),
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_ignore_scripts": "true",
    }


def _outside_git(variables: dict[str, str]) -> dict[str, str]:
    """Git tells the hooks that it runs which repository they are for; the copy is another one."""
    return {key: value for key, value in variables.items() if not key.startswith("GIT_")}


@contextlib.contextmanager
def _copy(files: list[str], variables: dict[str, str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lint-", dir=cache.home()) as folder:
        copy = Path(folder)
        for name in files:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project.ROOT / name, copy / name, follow_symlinks=False)
        for command in (["git", "init", "--quiet"], ["git", "add", "--all", "--force"]):
            process.output(command, "Copying the files for the linters", cwd=copy, env=variables)
        yield copy


def _counts(printed: str) -> list[Count]:
    """Count the hooks, and say what they have to say."""
    hooks, _cut, diff = printed.partition(_DIFF)
    found = list(_HOOK.finditer(hooks))
    ends = [match.start() for match in found[1:]] + [len(hooks)]
    counts = [_count(match, hooks[match.end() : end]) for match, end in zip(found, ends, strict=True)]
    if diff:
        console.error(f"--- what `./dev lint --fix` changes\n{diff.rstrip()}")
    return counts


def _count(found: re.Match, text: str) -> Count:
    details = dict(_DETAIL.findall(text))
    name = details["hook id"]
    failed = found["end"] == "Failed"
    skipped = found["end"] == "Skipped" and not found["nothing"]
    said = _DETAIL.sub("", text).strip()
    if failed or said:
        (say.error if failed else say.line)(f"--- {name}\n{said}")
    seconds = float(details.get("duration", "0").rstrip("s"))
    return Count(f"lint: {name}", int(not failed and not skipped), int(failed), int(skipped), seconds)
