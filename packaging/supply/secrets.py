"""Looks for secrets that were left in a file: the project's files come in, findings go out as lines, and 1 when there are any.

Every file but pictures is searched, whatever it is called. What runs (gateway, plugins, packaging, configuration) is searched by
every detector of detect-secrets. Tests, benchmarks, proofs and documents are full of made-up passwords, so there only what has a
form of its own counts: keys, and tokens of services.
What was looked at and is no secret stands in ``known_secrets.txt``, by file and digest; it must never hold a secret itself.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import Settings, default_settings

ROOT = Path(__file__).parents[2]
KNOWN = Path(__file__).with_name("known_secrets.txt")
MADE_UP = ("tests/", "bench/", "proof/")
# Of no form: any word after "password", any text that looks random
FORMLESS = ("KeywordDetector", "Base64HighEntropyString", "HexHighEntropyString")
# Made by programs, and full of digests: there only what has a form counts, too
DIGESTS = {"requirements.lock", "requirements-dev.lock", "package-lock.json", "known_secrets.txt"}
# Has no text in it that could be searched. Any other file that is none is a finding: nobody can tell what is in there.
PICTURES = {".png"}
# detect-secrets leaves such out by their names alone; which files are searched is decided here.
NAME_FILTERS = (
    "detect_secrets.filters.heuristic.is_lock_file",
    "detect_secrets.filters.heuristic.is_non_text_file",
    "detect_secrets.filters.heuristic.is_swagger_file",
)
UNREADABLE = "Unreadable File"


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
    return sorted(str(each) for each in paths if each.suffix not in PICTURES and (ROOT / each).is_file())


def text_of(name: str) -> str | None:
    """None where it is no text."""
    content = (ROOT / name).read_bytes()
    try:
        return None if b"\0" in content else content.decode("utf-8")
    except UnicodeDecodeError:
        return None


Finding = tuple[str, int, str, str]
"""File, line, kind, digest."""


def with_a_form(texts: Mapping[str, str]) -> list[Finding]:
    with _settings() as settings:
        settings.disable_plugins(*FORMLESS)
        detectors: list[Any] = [
            each for each in get_mapping_from_secret_type_to_class().values() if each.__name__ in settings.plugins
        ]
        forms = [form for each in detectors for form in each.denylist]
        # line by line the library takes half a minute for what has nothing in it
        return _scanned(name for name, text in texts.items() if any(form.search(text) for form in forms))


def without_a_form(names: Iterable[str]) -> list[Finding]:
    with _settings() as settings:
        settings.disable_plugins(*(name for name in settings.plugins if name not in FORMLESS))
        return _scanned(names)


@contextmanager
def _settings() -> Iterator[Settings]:
    with default_settings() as settings:
        settings.disable_filters(*NAME_FILTERS)
        yield settings


def _scanned(names: Iterable[str]) -> list[Finding]:
    collection = SecretsCollection(root=str(ROOT))
    for name in names:
        collection.scan_file(name)
    return sorted((name, secret.line_number, secret.type, secret.secret_hash) for name, secret in collection)


def findings() -> list[Finding]:
    told = {name: text_of(name) for name in files()}
    texts = {name: text for name, text in told.items() if text is not None}
    unreadable = [(name, 1, UNREADABLE, _digest(name)) for name, text in told.items() if text is None]
    runs = [
        name
        for name in texts
        if not name.startswith(MADE_UP) and not name.endswith(".md") and Path(name).name not in DIGESTS
    ]
    return [*unreadable, *with_a_form(texts), *without_a_form(runs)]


def _digest(name: str) -> str:
    """As detect-secrets has it of a secret."""
    return hashlib.sha1((ROOT / name).read_bytes(), usedforsecurity=False).hexdigest()


def known() -> set[tuple[str, str]]:
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {(name, digest) for name, digest in pairs}


def main() -> int:
    new = [each for each in findings() if (each[0], each[3]) not in known()]
    for name, line, kind, digest in new:
        print(f"{name}:{line}: {kind}: a secret? If it is none, its line for {KNOWN.name}: {name} {digest}")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
