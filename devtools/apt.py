"""Debian packages without root: downloaded and unpacked into a folder, the machine stays as it is."""

import os
import re
import shutil
from pathlib import Path

from . import process
from .console import Stop

# The suite in which a distribution publishes what its releases do not have yet.
_NEWEST = {"debian": "sid", "ubuntu": "devel"}


def available() -> bool:
    """Return whether this machine has apt."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg"))


class PrivateApt:
    """An apt with its own lists and archives, which uses the machine's mirrors."""

    def __init__(self, folder: Path):
        self.folder = folder
        release = _os_release()
        self.suite = release.get("VERSION_CODENAME") or _NEWEST.get(release.get("ID", ""), "")
        self.newest = _NEWEST.get(release.get("ID", ""))
        if not self.newest or not self.suite:
            raise Stop("This is neither Debian nor Ubuntu.")
        for name in ("lists/partial", "cache/archives/partial", "sources", "packages"):
            (folder / name).mkdir(parents=True)
        source = _machine_source(self.suite)
        source["Suites"] = " ".join(dict.fromkeys((self.suite, self.newest)))
        text = "".join(f"{key}: {value}\n" for key, value in source.items())
        (folder / "sources" / "mirror.sources").write_text(text, encoding="utf-8")
        process.output(self._command("update", "-qq"), "Reading the package lists")

    def unpack(self, packages: list[str], target: Path) -> None:
        """Download the packages, named as `name` or `name/suite`, and unpack them into `target`."""
        archives = self.folder / "packages"
        process.output(self._command("download", "-qq", *packages), "Downloading packages", cwd=archives)
        for archive in sorted(archives.glob("*.deb")):
            process.output(["dpkg", "-x", archive, target], f"Unpacking {archive.name}")
            archive.unlink()

    def _command(self, *arguments: str) -> list:
        options = {
            "Dir::State::Lists": self.folder / "lists",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc::sourceparts": self.folder / "sources",
            "Dir::Etc::sourcelist": "/dev/null",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # By default apt reports success when it could not fetch a list.
            "APT::Update::Error-Mode": "any",
        }
        if os.geteuid() == 0:
            # Root's apt works as another user, who cannot read below a private home.
            options["APT::Sandbox::User"] = "root"
        settings = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        return ["apt-get", *settings, *arguments]


def _os_release() -> dict[str, str]:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {key: value.strip().strip('"') for key, _, value in (line.partition("=") for line in text.splitlines())}


def _machine_source(suite: str) -> dict[str, str]:
    """Return the machine's first source for its own release, as fields of a deb822 file."""
    etc = Path("/etc/apt")
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for source in _deb822(text) if path.suffix == ".sources" else _one_line(text):
            suites = source.pop("Suites", "").split()
            if (suite in suites or "stable" in suites) and "main" in source.get("Components", "").split():
                return source
    raise Stop("No apt source of this machine serves its own release.")


def _deb822(text: str):
    for paragraph in re.split(r"\n\s*\n", text):
        lines = [line for line in paragraph.splitlines() if line.strip() and not line.startswith("#")]
        unfolded = re.sub(r"\n[ \t]+", "\n ", "\n".join(lines))
        found = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*(?:\n .*)*)", unfolded))
        if "deb" in found.get("Types", "").split() and found.get("Enabled", "yes").lower() != "no":
            found["Types"] = "deb"
            wanted = ("Types", "URIs", "Suites", "Components", "Signed-By", "Trusted", "Architectures")
            yield {key: found[key] for key in wanted if key in found}


def _one_line(text: str):
    options = {"signed-by": "Signed-By", "trusted": "Trusted", "arch": "Architectures"}
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line)
        if match:
            given, uri, suite, components = match.groups()
            source = {"Types": "deb", "URIs": uri, "Suites": suite, "Components": components.strip()}
            for option in (given or "").split():
                key, _, value = option.partition("=")
                if key.lower() in options:
                    source[options[key.lower()]] = value.replace(",", " ")
            yield source
