"""What broke in a run, in groups within groups, comes in; what was seen of each goes out."""

from __future__ import annotations


def texts(group: BaseExceptionGroup[BaseException]) -> list[str]:
    found: list[str] = []
    for each in group.exceptions:
        found += texts(each) if isinstance(each, BaseExceptionGroup) else [str(each)]
    return found
