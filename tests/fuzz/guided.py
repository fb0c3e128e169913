"""Inputs that Atheris changes by what code they reach (libFuzzer): a target and a folder come in, the process ends.

What reached something new is kept in the folder, where the next run begins; a finding is written there too, and the process
ends with another code than 0.
"""

from __future__ import annotations

import importlib
import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import NoReturn

_SEEDS = 300
_LARGEST = 4096
_SLOWEST_S = 20
_MOST_MIB = 1024


def run(target: str, *, inputs: int, seed: int, corpora: Path) -> NoReturn:
    """Has to be called before anything of the gateway is imported."""
    # by name: it is no dependency of the tests, and what needs no type of it is not checked against it
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["gateway"], enable_loader_override=False):
        from tests.fuzz.registry import READERS
    logging.disable(logging.WARNING)
    corpus = corpora / target
    corpus.mkdir(parents=True, exist_ok=True)
    # libFuzzer leaves by _exit: what the stack would undo is in a temporary folder
    stack = ExitStack()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "fuzz"
    reader = stack.enter_context(READERS[target](folder))
    if not any(corpus.iterdir()):
        random = Random(seed)
        for number in range(_SEEDS):
            (corpus / f"seed-{number}").write_bytes(reader.make(random)[:_LARGEST])
    options = {
        "runs": inputs, "seed": seed, "max_len": _LARGEST, "timeout": _SLOWEST_S, "rss_limit_mb": _MOST_MIB,
        "artifact_prefix": f"{corpora / 'found'}-{target}-",
    }  # fmt: skip
    atheris.Setup([sys.argv[0], str(corpus), *(f"-{name}={value}" for name, value in options.items())], reader.read)
    atheris.Fuzz()
    sys.exit(0)
