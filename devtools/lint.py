"""./dev lint: pre-commit, with all that it and its hooks need."""

from . import cache, process, project, workspace
from .console import Stop


class NoRepository(Stop):
    """The project was unpacked, not cloned."""


def run() -> int:
    """Run the hooks of .pre-commit-config.yaml on all files that git tracks; return the exit code of pre-commit.

    :raises NoRepository: without git, pre-commit does not know which files are the project's
    """
    if not (project.ROOT / ".git").exists():
        raise NoRepository(
            "The linters ask git which files are the project's, and this folder is no repository:"
            " clone the project, or run `git init` and `git add .` here."
        )
    environment = workspace.environment()
    variables = {
        **environment.variables(),
        "PRE_COMMIT_HOME": str(cache.home() / "pre-commit"),
        "PYLINTHOME": str(cache.home() / "pylint"),
        "VIRTUALENV_OVERRIDE_APP_DATA": str(cache.home() / "virtualenv"),
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_ignore_scripts": "true",
    }
    return process.attached([environment / "pre-commit", "run", "--all-files"], cwd=project.ROOT, env=variables)
