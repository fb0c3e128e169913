"""The licenses of what comes with dockgate: lock file and metadata of the installed come in, docs/licenses.md goes out.

    python packaging/supply/licenses.py

It must never guess: what tells no license is written as such, and a test refuses it. ``strangers`` tells what a built program has
in it that the page does not name.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "licenses.md"
UNKNOWN = "not told"
# Not in its metadata, but in words: pyrage's own README, "Licensing"
TOLD_ELSEWHERE = {"pyrage": "MIT"}
# What older packages say in words, or by a classifier, as SPDX has it (https://spdx.org/licenses/)
SPDX = {
    "apache software license": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0", "bsd license": "BSD-3-Clause", "bsd": "BSD-3-Clause",
    "mit license": "MIT", "mit": "MIT", "isc license (iscl)": "ISC", "python software foundation license": "PSF-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "3-clause bsd license": "BSD-3-Clause",
}  # fmt: skip
HEAD = """# Licenses of what is installed with it

dockgate itself is under the [MIT license](../LICENSE). This is what `pip` or a package of ours installs beside it, in the
versions of `requirements.lock`, as its authors tell it in its metadata. Made by `python packaging/supply/licenses.py`; a test says
so when it is not current, or when something comes in whose license would ask more of you than to keep its notice (GPL, AGPL and
the like).

Of interest when you pass dockgate on: the one file and the Debian package have all of it in them (`make sbom` lists it), and
[more besides](#what-the-one-file-has-in-it-besides).

| package | version | license |
|---|---|---|
"""
BESIDES = """
## What the one file has in it besides

What is no Python package: of the Python it was built with, of what was compiled into the packages above, and of the
tools that made the file. The Debian package has the same, but for the launcher. With `pip` only what is in packages comes along.

| what | where | license |
|---|---|---|
"""
TAIL = """
- glibc is not in it but for what the launcher needs, which is linked into that: everything else uses the machine's. The GNU Lesser
  General Public License asks that whoever gets the file can link the launcher anew, with a glibc of his own: its source is
  `packaging/binary/launcher.c`, and `make binary` does it.
- The exceptions of GCC and of PyInstaller are what allows a program of any license to have those parts in it.
- Of the Rust crates each wheel has a list of its own (`sboms` in its metadata), with all their licenses. A test reads them.
- What is under the GPL without such an exception is left out, as the module `readline`.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """``libraries``: of what names its shared libraries are, without version; ``inside``: which packages have it compiled in."""

    name: str
    license: str
    libraries: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    where: str = ""


LAUNCHER, BOOTLOADER = "the launcher", "the program that starts Python"
PARTS = (
    Part("CPython with its standard library", "PSF-2.0 AND MIT AND BSD-2-Clause AND BSD-3-Clause AND CC0-1.0", ("libpython",),
         where="`lib-dynload`, all modules of Python"),
    Part("OpenSSL", "Apache-2.0", ("libssl", "libcrypto"), ("cryptography",)),
    Part("SQLite", "blessing", ("libsqlite",)),
    Part("zlib", "Zlib", ("libz",), where=LAUNCHER),
    Part("libffi", "MIT", ("libffi",), ("cffi",)),
    Part("bzip2", "bzip2-1.0.6", ("libbz",)),
    Part("XZ Utils' liblzma", "0BSD", ("liblzma",)),
    Part("util-linux's libuuid", "BSD-3-Clause", ("libuuid",)),
    Part("Expat", "MIT", ("libexpat",), where="CPython"),
    Part("mpdecimal", "BSD-2-Clause", ("libmpdec",), where="CPython"),
    Part("GCC's libgcc", "GPL-3.0-or-later WITH GCC-exception-3.1", ("libgcc_s",), where=LAUNCHER),
    Part("PyInstaller's bootloader", "GPL-2.0-or-later WITH Bootloader-exception", where=BOOTLOADER),
    Part("libuv", "MIT", inside=("uvloop",)),
    Part("LibYAML", "MIT", inside=("PyYAML",)),
    Part("Argon2's reference implementation", "CC0-1.0 OR Apache-2.0", inside=("argon2-cffi-bindings",)),
    Part("Rust crates", "each with its own, see below", inside=("cryptography", "orjson", "pydantic_core", "pyrage")),
    Part("glibc", "LGPL-2.1-or-later", where=f"{LAUNCHER} alone"),
)  # fmt: skip
# Compiled of nothing but their own sources, whose license is theirs
OWN_ONLY = {"MarkupSafe", "psutil", "websockets"}
# Not in the wheel's list of crates: the crate's own Cargo.toml
CRATES_TOLD_ELSEWHERE = {"tinystr": "Unicode-3.0"}


def license_of(name: str) -> str:
    """As an SPDX expression where that is told. Raises PackageNotFoundError."""
    told: Any = metadata(name)  # a message of the standard library
    expression = told.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [each for each in told.get_all("Classifier") or [] if each.startswith("License :: ")]
    words = [each.rpartition(" :: ")[2] for each in classifiers] or [
        (told.get("License") or "").strip().partition("\n")[0]
    ]
    found = sorted({SPDX.get(word.lower(), word) for word in words if word and word != "OSI Approved"})
    return " AND ".join(found) or TOLD_ELSEWHERE.get(name, UNKNOWN)


def locked() -> list[tuple[str, str]]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"([A-Za-z0-9._-]+)==([^ ;]+)", line) for line in lines)
    return sorted(((each[1], each[2]) for each in found if each), key=lambda each: each[0].lower())


def page() -> str:
    rows = []
    for name, version in locked():
        try:
            license_ = license_of(name)
        except PackageNotFoundError:  # for another platform or another Python
            license_ = UNKNOWN
        rows.append(f"| `{name}` | {version} | {license_} |")
    return HEAD + "\n".join(rows) + "\n" + BESIDES + "\n".join(_row(part) for part in PARTS) + "\n" + TAIL


def _row(part: Part) -> str:
    where = [f"`{name}`" for name in (*part.libraries, *part.inside)] + ([part.where] if part.where else [])
    return f"| {part.name} | {', '.join(where)} | {part.license} |"


def compiled() -> set[str]:
    """The packages of the lock that have machine code in them."""
    return {name for name, _ in locked() if any(".so" in file.name for file in distribution(name).files or ())}


def crates() -> Iterator[tuple[str, str, str]]:
    """Package, crate and license of all that the wheels tell to be compiled in."""
    for package in next(part.inside for part in PARTS if part.name == "Rust crates"):
        for each in distribution(package).files or ():
            listed = json.loads(Path(str(each.locate())).read_text(encoding="utf-8")) if "sboms" in each.parts else {}
            for crate in listed.get("components", []):
                if crate.get("purl", "").startswith("pkg:cargo/"):
                    told = [
                        one.get("expression") or one["license"].get("id") or UNKNOWN
                        for one in crate.get("licenses", [])
                    ]
                    license_ = " AND ".join(told) or UNKNOWN
                    yield package, crate["name"], CRATES_TOLD_ELSEWHERE.get(crate["name"], license_)


def strangers(tree: Path, modules: Path) -> list[str]:
    """What PyInstaller took and the page does not name: files below ``tree``, and of the modules that ``modules`` (its
    ``PYZ-00.toc``) lists.
    """
    known = _folders_of_packages() | {"gateway", "broker_plugins", "base_library.zip"}
    found = set()
    for path in sorted(each for each in (tree / "_internal").rglob("*") if each.is_file()):
        top = path.relative_to(tree / "_internal").parts[0]
        if top not in known and not top.startswith("python3.") and not _is_listed_library(top):
            found.add(top)
    found |= {path.name for path in tree.iterdir()} - {"_internal", "dockgate"}
    for _, place, _ in _entries(ast.literal_eval(modules.read_text(encoding="utf-8"))):
        of = _top_of(Path(place))
        if of is not None and of not in known:
            found.add(of)
    return sorted(found)


def _folders_of_packages() -> set[str]:
    """What the packages of the lock put into site-packages."""
    return {file.parts[0] for name, _ in locked() for file in distribution(name).files or ()}


def _is_listed_library(name: str) -> bool:
    stem = re.match(r"lib[a-z_]+", name)
    return stem is not None and any(stem[0] in part.libraries for part in PARTS)


def _entries(toc: tuple[object, ...]) -> list[tuple[str, str, str]]:
    return next(each for each in toc if isinstance(each, list))


def _top_of(place: Path) -> str | None:
    """Of which folder in site-packages a module is; None: of Python or of our own."""
    for above in ("site-packages", "dist-packages"):
        if above in place.parts:
            return place.parts[place.parts.index(above) + 1]
    return None if _is_of_python(place) or ROOT in place.parents else str(place)


def _is_of_python(place: Path) -> bool:
    return "-" in place.parts or f"python{sys.version_info.major}.{sys.version_info.minor}" in place.parts


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
