"""What mkdocs asks while it builds the site: pages come in with their links; links that leave ``docs/`` go out as the path that
they lead to, since the site has no sources beside it. It must never hide a link that leads nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>\.\./[^)\s#]*)(?:#[^)\s]*)?\)")


def without_sources(markdown: str, folder: Path) -> str:
    """``[words](../FILE)`` as the words, with the file's path where the words are not it."""

    def plain(match: re.Match[str]) -> str:
        target = (folder / match["target"]).resolve()
        if target.is_relative_to(ROOT / "docs") or not target.exists():
            return match[0]
        path = target.relative_to(ROOT).as_posix()
        said = match["text"].strip("`")
        return f"`{path}`" if Path(path).name == Path(said).name else f"{match['text']} (`{path}`)"

    return _LINK.sub(plain, markdown)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    return without_sources(markdown, Path(page.file.abs_src_path).parent)


def slug(text: str, separator: str) -> str:
    """The name of a heading, as the places where people read the sources make it."""
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", separator)


def on_config(config: Any) -> Any:
    config.mdx_configs.setdefault("toc", {})["slugify"] = slug
    docs = Path(config.docs_dir)
    config.nav = whole(config.nav, sorted(path.relative_to(docs).as_posix() for path in docs.rglob("*.md")))
    return config


def whole(nav: list[Any], documents: list[str]) -> list[Any]:
    """The order of mkdocs.yml, and below "More" and "Decisions" what it does not name, under its own heading."""
    named = set(_named(nav))
    left = [name for name in documents if name not in named]
    more = {"More": [name for name in left if not name.startswith("decisions/")]}
    decisions = {"Decisions": [name for name in left if name.startswith("decisions/")]}
    return [*nav, *(section for section in (more, decisions) if any(section.values()))]


def _named(nav: list[Any]) -> Iterator[str]:
    for entry in nav:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(value, str):
            yield value
        else:
            yield from _named(value)
