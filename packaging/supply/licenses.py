"""The licenses of what comes with dockgate: lock file and metadata of the installed come in, docs/licenses.md goes out.

    python packaging/supply/licenses.py

It must never guess: what tells no license is written as such, and a test refuses it.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

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

Of interest when you pass dockgate on: the one file and the Debian package have all of it in them (`make sbom` lists it).
Python itself, which the one file has in it too, is under the [PSF license](https://docs.python.org/3/license.html).

| package | version | license |
|---|---|---|
"""


def license_of(name: str) -> str:
    """As an SPDX expression where that is told. Raises PackageNotFoundError."""
    told = metadata(name)
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
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
