"""Configuration through its door: what is read, what overrides what, where it is looked for, what init writes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from amqtt.contexts import BrokerConfig

from gateway import config
from gateway.config import Bind, Config
from gateway.config.problems import SHIPPED_PLUGINS
from gateway.errors import ConfigError

ROOT = Path(__file__).parents[2]
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


# -- values --------------------------------------------------------------------------------------------------------


def test_a_minimal_file_gets_every_default(load: Load, tmp_path: Path) -> None:
    loaded = load()
    assert loaded.path == tmp_path / "broker.yaml"
    assert loaded.dockgate.database == tmp_path / "dockgate.db"
    assert loaded.dockgate.log.level == "info"
    assert loaded.dockgate.limits.packet_bytes == 2_097_152
    assert loaded.dockgate.requests.unanswered == "platform"
    assert loaded.dockgate.admin.bind is None
    assert loaded.listeners["plain"].client_auth == "none"
    assert loaded.plugins == {"broker_plugins.auth.AccountAuthPlugin": {}}


def test_every_default_lies_in_its_own_range_and_every_option_explains_itself(load: Load) -> None:
    for option in config.options():
        assert option.description, option.name
        if option.kind in {"number", "seconds"} and option.default is not None:
            low, high = (float(part) for part in option.range.split(" to "))
            assert low <= option.default <= high, option.name


def test_every_option_of_the_section_can_be_set_from_the_environment_and_says_so(load: Load) -> None:
    values = {"word": None, "number": "7", "seconds": "7", "true or false": "no", "path": "other", "text": "host"}
    values |= {"list of names": "host other", "list of networks": "192.0.2.0/24,::1"}
    for option in config.options():
        if option.env is None or option.kind == "mapping":
            continue
        value = values.get(option.kind, "127.0.0.1:7") or option.range.split(" | ")[-1]
        if option.kind == "number" and (low := int(option.range.split(" to ")[0])) > 7:
            value = str(low)
        loaded = load(MINIMAL, **{option.env: value, "DOCKGATE__LIMITS__KEEPALIVE_MAX_S": "7"})
        assert loaded.source_of(option.name) == f"environment {option.env}"


def test_the_environment_wins_over_the_file(load: Load, tmp_path: Path) -> None:
    text = with_dockgate("log: {level: error}\nlimits: {connections: 5}")
    loaded = load(text, DOCKGATE__LOG__LEVEL="debug", DOCKGATE__REQUESTS__RESULT_CODES__BOUND_ELSEWHERE="210231")
    assert loaded.dockgate.log.level == "debug"
    assert loaded.dockgate.requests.result_codes == {"bound_elsewhere": 210231}
    assert loaded.source_of("log.level") == "environment DOCKGATE__LOG__LEVEL"
    assert loaded.source_of("dockgate.limits.connections") == f"file {tmp_path / 'broker.yaml'}"
    assert loaded.source_of("limits.inflight") == "default"
    assert loaded.source_of("listeners.plain.bind") == f"file {tmp_path / 'broker.yaml'}"
    assert loaded.source_of("listeners.plain.ssl") == "default"
    with pytest.raises(ConfigError, match=r"no option log\.levle"):
        loaded.source_of("log.levle")


def test_an_empty_variable_is_as_good_as_none(load: Load) -> None:
    assert load(MINIMAL, DOCKGATE__LOG__LEVEL="").dockgate.log.level == "info"


def test_a_section_whose_options_are_commented_out_means_its_defaults(load: Load) -> None:
    loaded = load(with_dockgate("log:\nlimits:"))
    assert loaded.dockgate.log.level == "info"
    assert loaded.source_of("log.level") == "default"
    assert load(f"{MINIMAL}dockgate:\n").dockgate.audit.keep_days == 365


def test_relative_paths_count_from_the_file_and_not_from_the_working_directory(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    text = with_listener('{bind: "[::]:8883", ssl: true, certfile: c/s.pem, keyfile: /abs/s.key}')
    loaded = load(text, DOCKGATE__DATABASE="data/x.db")
    assert loaded.dockgate.database == tmp_path / "data/x.db"
    assert loaded.listeners["plain"].certfile == tmp_path / "c/s.pem"
    assert loaded.listeners["plain"].keyfile == Path("/abs/s.key")


def test_nothing_of_a_configuration_can_be_changed(load: Load) -> None:
    loaded = load()
    with pytest.raises(AttributeError):
        loaded.path = Path("/elsewhere")  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        loaded.dockgate.log.level = "debug"  # type: ignore[misc]
    loaded.plugins["added"] = {}
    loaded.listeners.clear()
    assert loaded.plugins == {"broker_plugins.auth.AccountAuthPlugin": {}}
    assert loaded.listeners


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:8883", "0.0.0.0", 8883),  # noqa: S104
        ("[::]:8883", "::", 8883),
        ("[fd00::2]:0", "fd00::2", 0),
        ("localhost:1883", "localhost", 1883),
        ("gw_1.local:65535", "gw_1.local", 65535),
    ],
)
def test_a_bind_reads_and_writes_itself(text: str, host: str, port: int) -> None:
    bind = config.parse_bind(text)
    assert bind == Bind(host, port)
    assert str(bind) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "8883", ":8883", "::1:8883", "[::1]", "[::1]:", "[1.2.3.4]:1", "*:8883", "1.2.3:4", "300.1.1.1:4"),
        *("a:65536", "a:-1", "a:٣", "a b:1", "host:1 883", "x/y:1"),
    ],
)
def test_what_is_no_bind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|needs brackets|is written"):
        config.parse_bind(text)


def test_who_can_reach_a_bind() -> None:
    assert [config.parse_bind(f"{host}:1").is_loopback for host in ("127.0.0.2", "[::1]", "LOCALHOST")] == [True] * 3
    assert not any(config.parse_bind(f"{host}:1").is_loopback for host in ("0.0.0.0", "[::]", "gw"))  # noqa: S104


@pytest.mark.parametrize("off", ["off", '"off"', "null", "none"])
def test_the_admin_listener_can_be_off(load: Load, off: str) -> None:
    assert load(with_dockgate(f"admin: {{bind: {off}}}")).dockgate.admin.bind is None


def test_client_certificates_are_asked_for_when_their_ca_is_named(load: Load) -> None:
    tls = "bind: 127.0.0.1:0, ssl: true, certfile: a, keyfile: b"
    assert load(with_listener(f"{{{tls}}}")).listeners["plain"].client_auth == "none"
    assert load(with_listener(f"{{{tls}, cafile: c}}")).listeners["plain"].client_auth == "optional"
    for word, expected in (("required", "required"), ("none", "none"), ("off", "none")):
        loaded = load(with_listener(f"{{{tls}, cafile: c, client_auth: {word}}}"))
        assert loaded.listeners["plain"].client_auth == expected


# -- the part for amqtt --------------------------------------------------------------------------------------------


def test_amqtt_takes_its_part_and_binds_each_listener_as_written(load: Load, tmp_path: Path) -> None:
    for name in ("cert", "key", "ca", "crl"):
        (tmp_path / name).touch()
    text = """\
listeners:
  tls: {bind: "[::]:8883", ssl: true, certfile: cert, keyfile: key, cafile: ca, crlfile: crl, max_connections: 9}
  world: {bind: "0.0.0.0:1883"}
  ws: {bind: "127.0.0.1:8083", type: ws}
plugins:
  broker_plugins.auth.AccountAuthPlugin: {option: [1, 2]}
dockgate: {database: x.db}
"""
    loaded = load(text)
    handed = loaded.amqtt()
    taken = BrokerConfig.from_dict(handed)
    assert taken.listeners["default"].bind is None
    assert taken.listeners["tls"].bind == "[::]:8883"
    assert taken.listeners["tls"].max_connections == 9
    assert taken.listeners["tls"].cafile == tmp_path / "ca"
    assert taken.listeners["ws"].type == "ws"
    # amqtt would take the usual spelling for "not set", and leave the listener unbound like its default
    assert taken.listeners["world"].bind == "0.0.0.0:01883"
    assert taken.plugins == {"broker_plugins.auth.AccountAuthPlugin": {"option": [1, 2]}}
    handed["plugins"]["broker_plugins.auth.AccountAuthPlugin"]["option"].append(3)
    assert loaded.plugins["broker_plugins.auth.AccountAuthPlugin"] == {"option": [1, 2]}


# -- finding it ----------------------------------------------------------------------------------------------------


def test_the_file_is_looked_for_in_the_order_that_is_promised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, named, by_env = tmp_path / "broker.yaml", tmp_path / "named.yaml", tmp_path / "env.yaml"
    for path in (here, named, by_env):
        path.touch()
    monkeypatch.chdir(tmp_path)
    env = {"DOCKGATE_CONFIG": str(by_env)}
    assert config.find(named, env) == named
    assert config.find(None, env) == by_env
    assert config.find(None, {"DOCKGATE_CONFIG": ""}) == Path("broker.yaml")
    here.unlink()
    monkeypatch.setattr("gateway.config.loading.SEARCHED", (Path("broker.yaml"), tmp_path / "etc/broker.yaml"))
    with pytest.raises(ConfigError, match=r"no \./broker\.yaml and no /.*/etc/broker\.yaml") as caught:
        config.find(None, {})
    assert caught.value.hint == "dockgate init --dir ."
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/broker.yaml").touch()
    assert config.find(None, {}) == tmp_path / "etc/broker.yaml"


def test_a_file_that_may_not_be_looked_at_is_not_called_missing() -> None:
    unreachable = Path("x" * 300)
    assert config.find(unreachable, {}) == unreachable
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        config.load(unreachable, {})


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "x.yaml"
    with pytest.raises(ConfigError, match=r"no such configuration file$") as caught:
        config.find(missing, {})
    assert caught.value.hint == f"dockgate init --dir {tmp_path}"
    with pytest.raises(ConfigError) as caught:
        config.find(Path("/nope"), {})
    assert caught.value.hint == "name the broker.yaml of an installation, or make one: dockgate init --dir NEW"
    with pytest.raises(ConfigError, match=r"\(\$DOCKGATE_CONFIG\)"):
        config.find(None, {"DOCKGATE_CONFIG": str(missing)})


# -- the file that init writes -------------------------------------------------------------------------------------


def test_the_shipped_example_is_what_init_writes(tmp_path: Path) -> None:
    shipped = (ROOT / "broker.yaml").read_text(encoding="utf-8")
    assert shipped == config.render(database="var/dockgate.db")
    loaded = config.load(ROOT / "broker.yaml", {})
    assert {name: str(listener.bind) for name, listener in loaded.listeners.items()} == {
        "tls": "0.0.0.0:8883",
        "plain": "127.0.0.1:1883",
    }
    assert loaded.listeners["tls"].certfile == ROOT / "certs/server.pem"
    assert loaded.dockgate.database == ROOT / "var/dockgate.db"
    assert list(loaded.plugins) == list(SHIPPED_PLUGINS)


def test_what_is_rendered_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "broker.yaml"
    weird = 'da ta/#x: "ü".db'
    text = config.render(
        tls_bind="[::]:0",
        plain_bind=None,
        admin_bind=None,
        database=weird,
        certs="2026-13-01",
        card_address="fd00::2",
        card_port=443,
    )
    path.write_text(text, encoding="utf-8")
    loaded = config.load(path, {})
    assert list(loaded.listeners) == ["tls"]
    assert loaded.listeners["tls"].bind == Bind("::", 0)
    assert loaded.listeners["tls"].keyfile == tmp_path / "2026-13-01/server.key"
    assert loaded.dockgate.database == tmp_path / weird
    assert loaded.dockgate.admin.bind is None
    assert (loaded.dockgate.card.address, loaded.dockgate.card.port) == ("fd00::2", 443)
    with pytest.raises(ConfigError, match="nonsense"):
        config.render(tls_bind="nonsense")


def test_every_commented_default_of_the_example_is_the_default(load: Load) -> None:
    """Taking the comment sign away changes nothing; so the example can never show a value that is not the default."""
    lines = config.render().splitlines()
    start = lines.index("dockgate:")
    opened = [
        line.replace("# ", "", 1) if line.strip().startswith("# ") and _is_option(line) else line for line in lines
    ]
    document = yaml.safe_load("\n".join(opened[start:]))
    shown = {
        f"{outer}.{name}"
        for outer, section in document["dockgate"].items()
        if isinstance(section, dict)
        for name in section
    }
    assert shown | {"database"} == {option.name for option in config.options() if option.env}
    assert load("\n".join(opened)).dockgate == load(config.render()).dockgate


def _is_option(line: str) -> bool:
    words = line.strip().removeprefix("# ").split(":")[0]
    return words in {option.name.rpartition(".")[2] for option in config.options()}


def test_loading_leaves_the_environment_alone(load: Load) -> None:
    before = dict(os.environ)
    load(MINIMAL, DOCKGATE__LOG__LEVEL="debug")
    assert dict(os.environ) == before
