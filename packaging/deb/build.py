"""The Debian package: ``python packaging/deb/build.py`` makes dist/dockgate_VERSION_ARCHITECTURE.deb with dpkg-deb alone,
out of the program as a directory (packaging/binary/build.py): what is installed unpacks nothing, and cannot write to itself.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PACKAGING = ROOT / "packaging"
STAGE = ROOT / "build" / "deb"
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/dockgate",
    "zsh": "usr/share/zsh/vendor-completions/_dockgate",
    "fish": "usr/share/fish/vendor_completions.d/dockgate.fish",
}


def _load(path: Path) -> ModuleType:
    """A script beside this one; packaging/ is no Python package."""
    spec = importlib.util.spec_from_file_location(f"packaging_{path.parent.name}_{path.stem}", path)
    assert spec is not None  # noqa: S101 - a file with this ending has one
    assert spec.loader is not None  # noqa: S101 - and is loaded from it
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def build() -> Path:
    binary = _load(PACKAGING / "binary" / "build.py")
    binary.build()
    version = subprocess.run(
        [binary.TREE / "dockgate", "--version"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    shutil.rmtree(STAGE, ignore_errors=True)
    _program(binary.TREE)
    _unit_and_directories()
    _documents(binary.TREE / "dockgate")
    _permissions()
    _control(version, architecture, binary.GLIBC.read_text(encoding="utf-8"))
    target = ROOT / "dist" / f"dockgate_{version}_{architecture}.deb"
    target.parent.mkdir(exist_ok=True)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "-z2", "--build", str(STAGE), str(target)],
        check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"},
    )  # fmt: skip
    return target


def _place(name: str, content: bytes) -> Path:
    path = STAGE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _compressed(name: str, content: bytes) -> None:
    _place(f"{name}.gz", gzip.compress(content, compresslevel=9, mtime=0))


def _program(tree: Path) -> None:
    shutil.copytree(tree, STAGE / "usr" / "lib" / "dockgate")
    (STAGE / "usr" / "bin").mkdir(parents=True)
    (STAGE / "usr" / "bin" / "dockgate").symlink_to("../lib/dockgate/dockgate")


def _unit_and_directories() -> None:
    _place("lib/systemd/system/dockgate.service", (PACKAGING / "systemd" / "dockgate.service").read_bytes())
    # An installation is one directory that the program keeps up (certificates are renewed, backups restored): in /etc by name
    (STAGE / "etc").mkdir()
    (STAGE / "etc" / "dockgate").symlink_to("../var/lib/dockgate")


def _documents(program: Path) -> None:
    documents = "usr/share/doc/dockgate"
    _place(f"{documents}/copyright", _copyright().encode())
    _compressed(f"{documents}/changelog", (ROOT / "CHANGELOG.md").read_bytes())
    sbom = _load(PACKAGING / "sbom.py")
    sbom.write(STAGE / documents / "sbom.cdx.json")
    for shell, name in COMPLETIONS.items():
        _place(name, subprocess.run([program, "completion", shell], capture_output=True, check=True).stdout)
    for name, text in _load(PACKAGING / "man" / "pages.py").pages().items():
        _compressed(f"usr/share/man/man1/{name}", text.encode())


def _copyright() -> str:
    return (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: dockgate\n"
        "Comment: the packages under /usr/lib/dockgate/_internal have licenses of their own, each in its\n"
        " .dist-info directory there; sbom.cdx.json beside this file lists them.\n\n"
        "Files: *\nCopyright: dockgate's authors\nLicense: Expat\n"
        + "".join(f" {line or '.'}\n" for line in (ROOT / "LICENSE").read_text(encoding="utf-8").splitlines())
    )


def _permissions() -> None:
    for path in [STAGE, *STAGE.rglob("*")]:
        if path.is_symlink():
            continue
        runs = path.is_dir() or path == STAGE / "usr/lib/dockgate/dockgate" or ".so" in path.name
        path.chmod(0o755 if runs else 0o644)


def maintainer() -> str:
    """Who builds the package for others names himself, as Debian's own tools expect it; an address of nobody's otherwise."""
    name = os.environ.get("DEBFULLNAME", "The dockgate authors")
    return f"{name} <{os.environ.get('DEBEMAIL', 'authors@dockgate.invalid')}>"


def _control(version: str, architecture: str, glibc: str) -> None:
    files = sorted(path for path in STAGE.rglob("*") if path.is_file() and not path.is_symlink())
    sums = "".join(
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(STAGE)}\n"
        for path in files
    )
    size = sum(-(-path.stat().st_size // 1024) for path in files)
    control = {
        "Package": "dockgate",
        "Version": version,
        "Architecture": architecture,
        "Maintainer": maintainer(),
        "Installed-Size": str(size),
        "Depends": f"libc6 (>= {glibc}), passwd, init-system-helpers",
        "Recommends": "systemd",
        "Section": "net",
        "Priority": "optional",
        "Description": "self-hosted gateway for drone docks\n"
        " MQTT broker with TLS, accounts and topic rules, the access of docks to your own cloud, and the commands to\n"
        " operate them, in one process with one SQLite file. Needs no internet and no other service.",
    }
    _place("DEBIAN/control", "".join(f"{name}: {value}\n" for name, value in control.items()).encode())
    _place("DEBIAN/md5sums", sums.encode())
    for script in ("postinst", "prerm", "postrm"):
        _place(f"DEBIAN/{script}", (HERE / script).read_bytes()).chmod(0o755)
    (STAGE / "DEBIAN").chmod(0o755)


if __name__ == "__main__":
    made = build()
    sys.stdout.write(f"{made.relative_to(ROOT)}: {made.stat().st_size / 1e6:.0f} MB\n")
