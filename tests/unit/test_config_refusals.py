"""What an operator is told about a configuration that cannot be used: everything, in plain words, and no secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import config
from gateway.config import Config
from gateway.errors import ConfigError

MINIMAL = """\
listeners:
  plain: {bind: "127.0.0.1:1883"}
plugins:
  broker_plugins.auth.AccountAuthPlugin:
"""
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str = MINIMAL, **env: str) -> Config:
        path = tmp_path / "broker.yaml"
        path.write_text(text, encoding="utf-8")
        return config.load(path, env)

    return load_text


def with_dockgate(section: str) -> str:
    indented = "".join(f"  {line}\n" for line in section.splitlines())
    return f"{MINIMAL}dockgate:\n{indented}"


def with_listener(flow: str) -> str:
    return MINIMAL.replace('{bind: "127.0.0.1:1883"}', flow)


def refusal(load: Load, text: str, **env: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, **env)
    return str(caught.value)


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("log: {level: loud}", "log.level = loud (file FILE): must be 'debug', 'info', 'warning' or 'error'"),
        ("log: {levle: info}", "log.levle (file FILE): there is no such option; did you mean level?"),
        ("logs: {level: info}", "logs (file FILE): there is no such option; did you mean log?"),
        (
            "packet_bytes: 9",
            "packet_bytes (file FILE): there is no such option here; did you mean limits.packet_bytes?",
        ),
        ("audit: {zzz: 1}", "audit.zzz (file FILE): there is no such option; known here: keep_days"),
        ("limits: {inflight: 0}", "limits.inflight = 0 (file FILE): must be at least 1"),
        ("limits: {inflight: 70000}", "limits.inflight = 70000 (file FILE): must be at most 65535"),
        ("limits: {inflight: yes}", "limits.inflight = true (file FILE): must be a number"),
        ("limits: {inflight: 1.5}", "limits.inflight = 1.5 (file FILE): must be a whole number"),
        ("limits: {inflight: many}", "limits.inflight = many (file FILE): must be a whole number"),
        ("limits: {inflight: [1]}", "limits.inflight (file FILE): must be a whole number"),
        ("limits: 5", "limits = 5 (file FILE): must be a mapping of names to values"),
        ("requests: {handler_timeout_s: .nan}", "requests.handler_timeout_s = nan (file FILE): must be a number"),
        ("requests: {acknowledge: maybe}", "requests.acknowledge = maybe (file FILE): must be true or false"),
        (
            "requests: {result_codes: {bound_elsewhere: 0}}",
            "requests.result_codes (file FILE): bound_elsewhere: a result code is a whole number from 1 to",
        ),
        ("card: {address: 'https://x'}", "card.address = https://x (file FILE): must be an IP address or a host name"),
        ("card: {address: 5}", "card.address = 5 (file FILE): must be text (put a number into quotes)"),
        ("database: ''", 'database = "" (file FILE): must not be empty'),
        ("database:", "database is empty (file FILE): must be a path"),
        ("admin: {bind: 8080}", "admin.bind = 8080 (file FILE): must be ADDRESS:PORT"),
        ("1: x", "1 (file FILE): "),
        (f"log: {{level: {'x' * 61}}}", "log.level (file FILE): must be"),
        ('log: {level: "a\\nb"}', "log.level (file FILE): must be"),
    ],
)
def test_an_unusable_option_is_named_with_value_source_and_what_it_must_be(
    load: Load, tmp_path: Path, section: str, told: str
) -> None:
    text = refusal(load, with_dockgate(section))
    assert told.replace("FILE", str(tmp_path / "broker.yaml")) in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("listener", "told"),
    [
        ("{}", "listeners.plain.bind: is missing"),
        ("{bind: 127.0.0.1:0, ssl: true}", "ssl: true needs certfile and keyfile"),
        ("{bind: 127.0.0.1:0, certfile: a, keyfile: b}", "certificate files are given, but ssl is not true"),
        ("{bind: 127.0.0.1:0, client_auth: required}", "client_auth: required needs cafile"),
        ("{bind: 127.0.0.1:0, ssl: true, certfile: a, keyfile: b, crlfile: c}", "crlfile needs cafile"),
        ("{bind: 127.0.0.1:0, type: external}", "listeners.plain.type = external"),
        ("{bind: 127.0.0.1:0, keyfil: x}", "did you mean keyfile?"),
        ('{bind: "::1:8883"}', 'needs brackets and quotes: "[::]:8883"'),
    ],
)
def test_an_unusable_listener(load: Load, listener: str, told: str) -> None:
    assert told in refusal(load, with_listener(listener))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("listeners: {}\nplugins: {a.B: }", "must have at least one listener"),
        ("listeners:\nplugins: {a.B: }", "listeners is empty"),
        ("listeners: {default: {bind: 'a:1'}}\nplugins: {a.B: }", "cannot be called 'default'"),
        ("listeners: {'a b': {bind: 'a:1'}}\nplugins: {a.B: }", "a listener's name is"),
        ("listeners: {a: {bind: 'h:1'}, b: {bind: 'h:1'}}\nplugins: {a.B: }", "a and b both listen on h:1"),
        ("listeners: {a: {bind: 'h:1'}}", "plugins: is missing"),
        ("listeners: {a: {bind: 'h:1'}}\nplugins: {}", "without plugins everybody would be let in"),
        ("listeners: {a: {bind: 'h:1'}}\nplugins:", "plugins is empty"),
        ("listeners: {a: {bind: 'h:1'}}\nplugins: [a.B]", "must be a mapping (package.module.Class: {options})"),
        ("listeners: {a: {bind: 'h:1'}}\nplugins: {Auth: }", "'Auth' is not a dotted class name"),
        ("listeners: {a: {bind: 'h:1'}}\nplugins: {a.B: 5}", "plugins.a.B = 5"),
        ("listeners: {a: {bind: 'h:1'}}\nplugin: {a.B: }", "did you mean plugins?"),
        ("auth: {}\nlisteners: {a: {bind: 'h:1'}}\nplugins: {a.B: }", "known here: listeners, plugins, dockgate"),
        ("- a", "must be a mapping with the keys listeners, plugins and dockgate"),
        ("", "is empty"),
        ("# nothing\n", "is empty"),
    ],
)
def test_an_unusable_file(load: Load, text: str, told: str) -> None:
    assert told in refusal(load, text)


def test_all_that_is_wrong_comes_in_one_message(load: Load, tmp_path: Path) -> None:
    text = with_dockgate("log: {level: loud}\nlimits: {inflight: 0}").replace("127.0.0.1:1883", "nowhere")
    told = refusal(load, text, DOCKGATE__LOGIN__HASH_THREADS="many")
    lines = told.splitlines()
    assert lines[0] == f"{tmp_path / 'broker.yaml'}: 4 problems:"
    assert [line.split()[0] for line in lines[1:]] == [
        "listeners.plain.bind",
        "log.level",
        "login.hash_threads",
        "limits.inflight",
    ]
    assert "login.hash_threads = many (environment DOCKGATE__LOGIN__HASH_THREADS)" in told


def test_a_bad_variable_is_named_as_the_source(load: Load) -> None:
    assert "log.colour (environment DOCKGATE__LOG__COLOUR)" in refusal(load, MINIMAL, DOCKGATE__LOG__COLOUR="red")
    assert "log = debug (environment DOCKGATE__LOG): must be a mapping" in refusal(load, MINIMAL, DOCKGATE__LOG="debug")


@pytest.mark.parametrize(
    "text",
    [
        with_dockgate("password: hunter2hunter2"),
        with_dockgate("database: {password: hunter2hunter2}"),
        with_dockgate("requests: {result_codes: {token: hunter2hunter2}}"),
        with_dockgate("card: {address: |-\n  -----BEGIN EC PRIVATE KEY-----\n  hunter2hunter2}"),
        with_dockgate("password: *hunter2hunter2"),
        with_dockgate("password: !hunter2hunter2 x"),
        with_dockgate('password: "hunter2hunter2\\q"'),
        with_dockgate("password: hunter2hunter2: x"),
        with_listener("{bind: '127.0.0.1:0', ssl: true, certfile: a, keyfile: [hunter2hunter2]}"),
    ],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(load: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "hunter2" not in str(caught.value) + repr(caught.value) + str(caught.value.hint)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("listeners:\n  a: {bind: [::]:8883}\n", "line 2, column", 'put an IPv6 address into quotes: "[::]:8883"'),
        ("listeners:\n\ta: 1\n", "line 2, column 1", "indent with spaces, not with tabs"),
        ("listeners: {}\nlisteners: {}\n", "line 2, column 1: this key stands here twice", "delete one of the two"),
        ("a: 1\nb: {c: 1, c: 2}\n", "line 2, column 11: this key stands here twice", "delete one of the two"),
        ("? [a]\n: 1\n", "line 1, column 3: a key must be a word", 'each option is a line "name: value"'),
        ("a: &a {b: *a}\n", "line 1, column", "write it out"),
        ("a: b\nc: 2026-13-45\n", "line 2, column 4: this value looks like a date or number", "put it into quotes"),
        ("a: b\n a: \x07\n", "line 2, column 5: has a character that YAML does not allow", "delete it"),
        ("a: b: c\n", "line 1, column 5", "put a value with a colon into quotes"),
        ("a: 1\n  b: 2\n", "line 2, column 4", "not indented as its neighbours are"),
        ("a:\n  b: 1\n c: 2\n", "line 3, column 2", "indent this line as its neighbours are"),
        ("a: 1\nb\nc: 2\n", "line 3, column 1", "a colon is missing"),
        ('a: "b\n', "line 2, column 1", "a quote is opened and not closed"),
        ("a: [b\n", "line 2, column 1", "a bracket [ or { is not closed"),
        ("a: @b\n", "line 1, column 4", "begins with a special character into quotes"),
        ('a: "\\q"\n', "line 1, column", "a backslash has to be doubled"),
        ("a: " + "[" * 5000, "is nested too deeply", None),
        ("a: !!python/object/apply:os.system ['true']\n", "line 1, column 4", "begins with ! into quotes"),
        ("a: 1\n---\nb: 1\n", "line 2, column 1", "delete the line with ---"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_line(load: Load, text: str, told: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert told in str(caught.value)
    assert hint is None if caught.value.hint is None else hint is not None and hint in caught.value.hint


OTHERS = [
    "root:$6$hunter2hunter2:19000:0:99999:7:::\nadmin:$y$hunter2hunter2:19001:0:99999:7:::\n",
    "admin: hunter2hunter2\nhunter2hunter2: yes\n",
    "machine x login y password hunter2hunter2\n",
    "[client]\npassword = hunter2hunter2\n",
    "- hunter2hunter2\n",
    "hunter2hunter2",
]


@pytest.mark.parametrize("text", OTHERS)
def test_another_file_is_not_repeated(load: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"
    assert caught.value.hint is not None


@pytest.mark.parametrize("text", [OTHERS[0], OTHERS[1], OTHERS[4], OTHERS[5]])
def test_another_file_is_told_as_that(load: Load, text: str) -> None:
    assert "this is no configuration of dockgate" in refusal(load, text)


def test_keys_that_are_none_and_too_many_of_them(load: Load) -> None:
    keys = ["$6$hunter2hunter2", "hunter2:hunter2", "h" * 65, *(f"key{number}" for number in range(40))]
    told = refusal(load, MINIMAL + "".join(f"'{key}': x\n" for key in keys))
    lines = told.splitlines()
    assert "hunter2" not in told
    assert "hhhh" not in told
    assert lines[0].endswith("43 problems:")
    assert [line.split()[0] for line in lines[1:5]] == ["…", "…", "…", "key0"]
    assert lines[-1].strip() == "and 31 more"
    assert len(lines) == 14


def test_what_is_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match="line 2: is not UTF-8"):
        config.load(path, {})
    path.write_bytes(b"#" * 1_100_000)
    with pytest.raises(ConfigError, match="larger than"):
        config.load(path, {})
    with pytest.raises(ConfigError, match="is a directory"):
        config.load(tmp_path, {})
    with pytest.raises(ConfigError, match="No such file"):
        config.load(tmp_path / "none.yaml", {})
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())  # as an editor on Windows saves it
    assert config.load(path, {}).listeners
