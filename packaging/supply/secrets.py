"""Looks for secrets that were left in a file: the project's files come in, findings go out as lines, and 1 when there are any.

What runs (gateway, plugins, packaging, configuration) is searched by every detector of detect-secrets. Tests, benchmarks, proofs
and documents are full of made-up passwords, so there only what has a form of its own counts: keys, and tokens of services.
What was looked at and is no secret stands in ``known_secrets.txt``, by file and digest; it must never hold a secret itself.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from detect_secrets import SecretsCollection
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.settings import default_settings

ROOT = Path(__file__).parents[2]
KNOWN = Path(__file__).with_name("known_secrets.txt")
MADE_UP = ("tests/", "bench/", "proof/")
# Of no form: any word after "password", any text that looks random
FORMLESS = ("KeywordDetector", "Base64HighEntropyString", "HexHighEntropyString")
# Made by programs, and full of digests
LEFT_OUT = {"requirements.lock", "requirements-dev.lock", "package-lock.json", "known_secrets.txt"}
TEXT = {
    ".py",
    ".md",
    ".yaml",
    ".yml",
    ".toml",
    ".json",
    ".js",
    ".css",
    ".html",
    ".sh",
    ".sql",
    ".txt",
    ".service",
    ".svg",
    "",
}


def files() -> list[str]:
    """What is, or would be, under version control; everything where there is none (an unpacked release)."""
    try:
        words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        hidden = ("node_modules", "build", "dist", "var")
        names = [str(path) for path in found if not any(part in hidden or part.startswith(".") for part in path.parts)]
    paths = (Path(name) for name in names if name)
    return sorted(
        str(each) for each in paths if each.suffix in TEXT and each.name not in LEFT_OUT and (ROOT / each).is_file()
    )


Finding = tuple[str, int, str, str]
"""File, line, kind, digest."""


def with_a_form(names: Iterable[str]) -> list[Finding]:
    with default_settings() as settings:
        settings.disable_plugins(*FORMLESS)
        detectors = [
            each for each in get_mapping_from_secret_type_to_class().values() if each.__name__ in settings.plugins
        ]
        forms = [form for each in detectors for form in each.denylist]
        # line by line the library takes half a minute for what has nothing in it
        return _scanned(name for name in names if any(form.search((ROOT / name).read_text("utf-8")) for form in forms))


def without_a_form(names: Iterable[str]) -> list[Finding]:
    with default_settings() as settings:
        settings.disable_plugins(*(name for name in settings.plugins if name not in FORMLESS))
        return _scanned(names)


def _scanned(names: Iterable[str]) -> list[Finding]:
    collection = SecretsCollection(root=str(ROOT))
    for name in names:
        collection.scan_file(name)
    return sorted((name, secret.line_number, secret.type, secret.secret_hash) for name, secret in collection)


def findings() -> list[Finding]:
    names = files()
    runs = [name for name in names if not name.startswith(MADE_UP) and not name.endswith(".md")]
    return [*with_a_form(names), *without_a_form(runs)]


def known() -> set[tuple[str, str]]:
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {(name, digest) for name, digest in pairs}


def main() -> int:
    new = [each for each in findings() if (each[0], each[3]) not in known()]
    for name, line, kind, digest in new:
        print(
            f"{name}:{line}: {kind}: a secret? If it is none, its line for {KNOWN.relative_to(ROOT)}: {name} {digest}"
        )
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
