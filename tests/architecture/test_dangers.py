"""Rules of this house that no tool knows: SQL and values, shells, clocks in rules, markup, randomness, unchecked TLS."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path for package in ("gateway", "broker_plugins") for path in (ROOT / package).rglob("*.py"))
# No rule and no handler asks the system for the time: it is given (docs/architecture.md)
TIMELESS = (
    "policy.py", "topics.py", "envelope.py", "results.py", "model.py", "errors.py", "passwords.py", "directory.py",
    "topology.py", "pinning.py", "presence.py", "forwarded.py", "recent.py", "lockout.py",
    "store/topology.py", "store/bindings.py", "methods",
)  # fmt: skip
CLOCKS = {"time", "time_ns", "now", "utcnow", "today", "monotonic", "monotonic_ns"}
# What looks at somebody else's server, and says so: `doctor --address`
UNCHECKED_TLS = {"gateway/cli/probe.py"}
EXECUTE = {"execute", "executemany", "executescript"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "mktemp", "Markup"}
FORBIDDEN_IMPORTS = {"pickle", "marshal", "shelve", "dill", "telnetlib", "ftplib", "xmlrpc"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def called(node: ast.Call) -> str:
    return (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )


# -- SQL


def sql_from_values(tree: ast.AST) -> Iterator[int]:
    """Lines where a statement is put together from anything but texts that stand in the code."""
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        texts = _texts_of(function)
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and called(node) in EXECUTE
                and node.args
                and not _is_constant(node.args[0], texts)
            ):
                yield node.lineno


def _texts_of(function: ast.AST) -> set[str]:
    """Names that a function gives nothing but texts that stand there."""
    given: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                for name, value in _pairs(target, node.value):
                    given.setdefault(name, []).append(value)
    found: set[str] = set()
    for _ in given:  # one may be made of another
        found |= {name for name, values in given.items() if all(_is_constant(value, found) for value in values)}
    return found


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.IfExp):
        yield from _pairs(target, value.body)
        yield from _pairs(target, value.orelse)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, each in zip(target.elts, value.elts, strict=True):
            yield from _pairs(one, each)


def _is_constant(node: ast.expr, texts: set[str]) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name():
            return node.id.strip("_").isupper() or node.id in texts
        case ast.JoinedStr():
            return all(_is_constant(each, texts) for each in node.values)
        case ast.FormattedValue():
            return _is_constant(node.value, texts)
        case ast.BinOp():
            return _is_constant(node.left, texts) and _is_constant(node.right, texts)
        case ast.IfExp():
            return _is_constant(node.body, texts) and _is_constant(node.orelse, texts)
        case ast.Subscript():  # of a table of texts, by a key
            return _is_constant(node.value, texts)
        case ast.List() | ast.Tuple():
            return all(_is_constant(each, texts) for each in node.elts)
    return False


# -- the rest


def bad_calls(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            is_method = isinstance(node.func, ast.Attribute)
            of = node.func.value if isinstance(node.func, ast.Attribute) else None
            is_regex = isinstance(of, ast.Name) and of.id == "re"
            if (
                called(node) in FORBIDDEN_CALLS
                and not is_regex
                and (not is_method or called(node) in {"system", "popen", "mktemp"})
            ):
                yield node.lineno
            # a truth, not a name that is called so
            if any(
                each.arg == "shell" and isinstance(each.value, ast.Constant) and each.value.value
                for each in node.keywords
            ):
                yield node.lineno
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if any(name.partition(".")[0] in FORBIDDEN_IMPORTS for name in names):
                yield node.lineno


def clocks(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and called(node) in CLOCKS and isinstance(node.func, ast.Attribute):
            of = node.func.value
            if isinstance(of, ast.Name) and of.id in {"time", "datetime", "date"}:
                yield node.lineno
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "time"
            and any(each.name in CLOCKS for each in node.names)
        ):
            yield node.lineno


def weak_randomness(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if "random" in names or (isinstance(node, ast.ImportFrom) and node.module == "random"):
            yield node.lineno


def unchecked_tls(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                is_off = isinstance(node.value, ast.Constant) and node.value.value is False
                if isinstance(target, ast.Attribute) and target.attr == "check_hostname" and is_off:
                    yield node.lineno
        if isinstance(node, ast.Attribute) and node.attr == "_create_unverified_context":
            yield node.lineno
        if isinstance(node, ast.Call):
            words = {each.arg: each.value for each in node.keywords}
            verify = words.get("verify")
            if isinstance(verify, ast.Constant) and verify.value is False:
                yield node.lineno


def found(rule: Callable[[ast.AST], Iterator[int]], paths: list[Path]) -> list[str]:
    return [f"{name_of(path)}:{line}" for path in paths for line in rule(ast.parse(path.read_text(encoding="utf-8")))]


# How many in a file, and what goes into them. A shrinking list.
SQL_BY_HAND = {
    "gateway/store/audit.py": 1,  # conditions that stand above it, each a text with a question mark
    "gateway/store/connection.py": 1,  # the pragmas of a table of ours
    "gateway/store/migrate.py": 3,  # a migration and the schema, which are files of ours, and a step's number
}


def test_a_statement_is_made_of_texts_that_stand_there() -> None:
    paths = [path for path in SHIPPED if "store" in path.parts or "operations" in path.parts]
    assert len(paths) > 20
    lines = set(found(sql_from_values, paths))
    assert Counter(line.partition(":")[0] for line in lines) == SQL_BY_HAND, sorted(lines)


def test_nothing_runs_a_text_or_opens_a_shell() -> None:
    assert found(bad_calls, SHIPPED) == []


def test_no_rule_asks_for_the_time() -> None:
    rooms = [ROOT / "gateway" / name for name in TIMELESS]
    paths = [path for room in rooms for path in ([room] if room.is_file() else sorted(room.rglob("*.py")))]
    assert len(paths) > 20
    assert found(clocks, paths) == []


def test_what_must_not_be_guessed_comes_from_the_system() -> None:
    assert found(weak_randomness, [path for path in SHIPPED if "simulator" not in path.parts]) == []


def test_certificates_are_checked() -> None:
    assert {each.partition(":")[0] for each in found(unchecked_tls, SHIPPED)} == UNCHECKED_TLS


def test_no_template_switches_the_escaping_off() -> None:
    templates = sorted((ROOT / "gateway" / "web" / "console" / "templates").rglob("*.html"))
    assert len(templates) > 10
    for path in templates:
        text = path.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", ""), path
        assert "autoescape" not in text, path


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (sql_from_values, "def f(db, name):\n    db.execute(f'SELECT {name}')"),
        (sql_from_values, "def f(db, name):\n    sql = 'SELECT ' + name\n    db.execute(sql)"),
        (sql_from_values, "def f(db, name):\n    db.execute('SELECT %s' % name)"),
        (sql_from_values, "def f(db, name):\n    db.execute('SELECT {}'.format(name))"),
        (bad_calls, "import subprocess\nsubprocess.run('ls', shell=True)"),
        (bad_calls, "import os\nos.system('ls')"),
        (bad_calls, "eval('1')"),
        (bad_calls, "from pickle import loads"),
        (clocks, "import time\ntime.time()"),
        (clocks, "from datetime import datetime\ndatetime.now()"),
        (clocks, "from time import monotonic"),
        (weak_randomness, "from random import choice"),
        (unchecked_tls, "context.check_hostname = False"),
        (unchecked_tls, "get(url, verify=False)"),
    ],
)
def test_a_breach_is_seen(rule: Callable[[ast.AST], Iterator[int]], code: str) -> None:
    assert list(rule(ast.parse(code))) != []


def test_what_is_right_is_let_be() -> None:
    right = (
        "def f(db, org):\n    where, p = ('', ()) if org is None else ('WHERE a = ?', (org,))\n"
        "    db.execute(f'SELECT {_COLUMNS} {where}', p)\n"
        "def g(shell):\n    script(shell=shell.value)\n    re.compile('x')\n    self.clock()\n    secrets.choice('x')\n"
    )
    for rule in (sql_from_values, bad_calls, clocks, weak_randomness, unchecked_tls):
        assert list(rule(ast.parse(right))) == []
