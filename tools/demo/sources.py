"""Which packages `make demo` still has to fetch, and where its tools are told to fetch them.

Each tool's own configuration decides: pip's files and variables, ``go env``, apt's sources. What
cannot be told is left out: then the tool itself will say what is wrong. Neighbours: ``reach.py``,
``preconditions.py``.
"""

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from reach import Place, find_end, proxies_in_use
from target import ROOT, is_cluster_given, local_binaries

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PYPI = "https://pypi.org/simple"  # pip's default
MIRROR = "http://deb.debian.org/debian"  # mmdebstrap's: tools/images names none, nor can a setting
# Whoever sets one of these gets packages from elsewhere than uv.lock says, or from nowhere.
UV_SETTINGS = (
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS",
    "UV_NO_INDEX", "UV_OFFLINE", "UV_CONFIG_FILE",
)  # fmt: skip
ASK_S = 10


def find_places(cache: Path) -> list[Place]:
    """Return the places that something is still to be fetched from; `cache` is the build's."""
    return [*python_places(cache), *go_places(), *debian_places(cache)]


def find_missing_packages() -> list[str]:
    """Return the Debian packages that building images takes and this machine lacks."""
    missing = [tool for tool in ("buildah", "mmdebstrap", "skopeo") if shutil.which(tool) is None]
    if not KEYRING.exists() and shutil.which("apt-get"):  # Debian has it, Ubuntu does not
        missing.append("debian-archive-keyring")
    return missing


def ask(*command: str, **environment: str) -> str:
    """Return what a program says, nothing if it is not there or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=ASK_S, cwd=ROOT,
            env={**os.environ, **environment},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""


def python_places(cache: Path) -> Iterator[Place]:
    """Return where pip gets uv, and uv what the lock file names, if they are not there yet."""
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    uv = cache / f"uv-{version[1] if version else ''}/bin/uv"
    if uv.exists():
        sync = (str(uv), "sync", "--locked", "--all-packages", "--dry-run", "--offline")
        lacks = "Would download" in ask(*sync)
    else:
        lacks = not (ROOT / ".venv").exists()
        settings = pip_settings(os.environ, pip_files(os.environ))
        proxy = settings.get("proxy")
        proxies = {"all": proxy} if proxy else proxies_in_use()
        yield from place("uv", [pip_index(settings)], proxies)
    if lacks and not is_uv_told(os.environ):
        lock = ROOT / "uv.lock"
        urls = re.findall(r'url = "(https?://[^/"]+)/', lock.read_text()) if lock.exists() else []
        yield from place("Python packages", sorted(set(urls)), proxies_in_use())


def place(what: str, urls: list[str], proxies: Mapping[str, str]) -> list[Place]:
    """Return a place of some addresses, none if it cannot be told where one of them leads."""
    ends = [find_end(url, proxies) for url in urls]
    found = tuple(end for end in ends if end)
    return [Place(what, found)] if found and len(found) == len(ends) else []


def pip_files(environment: Mapping[str, str]) -> list[Path]:
    """Return pip's configuration files, the last one decides (pip: Configuration)."""
    own = environment.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return []
    home = Path(environment.get("HOME", "/"))
    shared = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    folders = [Path(one) / "pip" for one in reversed(shared.split(":"))]
    folders += [Path("/etc"), home / ".pip"]
    folders.append(Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip")
    return [*(folder / "pip.conf" for folder in folders), *([Path(own)] if own else [])]


def pip_settings(environment: Mapping[str, str], files: list[Path]) -> dict[str, str]:
    """Return what of pip's settings says where it gets packages; variables come before files."""
    names = ("index-url", "no-index", "find-links", "proxy")
    found: dict[str, str] = {}
    for section in ("global", "install"):
        for file in files:
            parser = configparser.RawConfigParser(strict=False)
            try:
                parser.read(file)
            except (configparser.Error, OSError, UnicodeDecodeError):
                continue
            rows = dict(parser[section]) if parser.has_section(section) else {}
            found.update({name.replace("_", "-"): value for name, value in rows.items()})
    for name in names:
        value = environment.get(f"PIP_{name.upper().replace('-', '_')}")
        if value:
            found[name] = value
    return {name: found[name] for name in names if found.get(name)}


def pip_index(settings: Mapping[str, str]) -> str:
    """Return the address of pip's index, empty if pip may do without it."""
    if "no-index" in settings or "find-links" in settings:
        return ""
    return settings.get("index-url", PYPI)


def is_uv_told(environment: Mapping[str, str]) -> bool:
    """Return whether uv may be told to get packages from elsewhere than uv.lock says."""
    home = Path(environment.get("HOME", "/"))
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "uv/uv.toml"
    files = (user, Path("/etc/uv/uv.toml"))
    return any(map(environment.get, UV_SETTINGS)) or any(file.exists() for file in files)


def go_places() -> list[Place]:
    """Return the module proxy, if the programs of a local cluster are still to be fetched."""
    built = local_binaries()
    if is_cluster_given() or (built and are_built(Path(built))):
        return []
    said = ask("go", "env", "GOPROXY", "GONOPROXY", "GOMODCACHE", GOTOOLCHAIN="local")
    proxy, none, modules = [*said.splitlines(), "", "", ""][:3]
    if not proxy or "*" in none.split(",") or are_fetched(Path(modules)):
        return []
    # After a comma Go goes on only when a module is not found there, after a bar always.
    return place("Go modules", proxy.split(",")[0].split("|"), proxies_in_use())


def are_built(folder: Path) -> bool:
    """Return whether the folder of the cluster's programs is there and each of them in it."""
    return folder.is_dir() and all(program.exists() for program in folder.iterdir())


def are_fetched(modules: Path) -> bool:
    """Return whether Go's module cache has the modules that the cluster's programs are in."""
    archives = [modules / "cache/download" / name for name in program_archives()]
    return all(archive.exists() for archive in archives)


def program_archives() -> Iterator[str]:
    """Return where Go's module cache keeps each module that has a program of the cluster."""
    for file in sorted((ROOT / "tools/cluster/go").glob("*/go.mod")):
        text = file.read_text()
        programs = re.findall(r"^(?:\t|tool )(\S+)$", text, re.MULTILINE)
        for name, version in re.findall(r"^(?:\t|require )(\S+) (v\S+)", text, re.MULTILINE):
            if any(f"{program}/".startswith(f"{name}/") for program in programs):
                escaped = re.sub(r"[A-Z]", lambda letter: "!" + letter[0].lower(), name)
                yield f"{escaped}/@v/{version}.zip"


def debian_places(cache: Path) -> Iterator[Place]:
    """Return apt's sources if packages are missing, and the images' if Debian was never read."""
    proxies = apt_proxies(ask("apt-config", "dump"))
    if proxies is None:
        return
    if find_missing_packages() and os.geteuid() == 0:
        sites = ask("apt-get", "indextargets", "--format", "$(SITE)").split()
        yield from place("Debian packages", sorted(set(sites)), proxies)
    if not any((cache / "debian").glob("*.json")):
        yield from place("the images' Debian", [MIRROR], proxies)


def apt_proxies(configuration: str) -> dict[str, str] | None:
    """Return apt's proxies, as of `reach.proxies_in_use`; None if they differ from host to host.

    Args:
        configuration: as ``apt-config dump`` prints it.
    """
    found = proxies_in_use()
    for row in configuration.splitlines():
        match = re.fullmatch(r'Acquire::(https?)::(Proxy\S*) "(.+)";', row, re.IGNORECASE)
        if match is None:
            continue
        scheme, name, value = match.groups()
        if name.lower() != "proxy":
            return None
        found[scheme.lower()] = "" if value == "DIRECT" else value
    return found
