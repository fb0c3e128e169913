"""One declaration per option: name, type, default, range, help.

The loader, the shipped example and the documentation are made from it. Holds values; opens no file and no socket.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway import results
from gateway.config.values import (
    BindAddress,
    BindAddressOrOff,
    FilePath,
    HostName,
    HostNames,
    Network,
    Networks,
    Number,
    Seconds,
)

KIB = 1024
MIB = 1024 * KIB
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
# MQTT 2.2.3: the largest remaining length; a larger limit could never be reached.
MQTT_MAX_PACKET_BYTES = 268_435_455
# An argon2id check takes about 30 ms of a core: more threads than this only make each other wait.
MAX_HASH_THREADS = 64
UINT16 = 65_535  # two-byte integers of MQTT: keep alive, packet identifiers, string lengths
UINT32 = 4_294_967_295  # four-byte integers of MQTT 5: session expiry


class Section(BaseModel):
    """A part of the configuration: immutable, and closed against names it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True, allow_inf_nan=False
    )


class ListenerSettings(Section):
    """One door for MQTT. Its name is for logs and metrics."""

    type: Literal["tcp", "ws"] = Field("tcp", description="What is spoken: tcp for MQTT, ws for MQTT over WebSocket.")
    bind: BindAddress = Field(description='Address and port to listen on, "A:P". Port 0 lets the system choose one.')
    ssl: bool = Field(default=False, description="Whether to speak TLS; needs certfile and keyfile.")
    certfile: FilePath | None = Field(
        None, description="PEM file with the server certificate, then those that lead to its CA."
    )
    keyfile: FilePath | None = Field(
        None, description="PEM file with the private key of the certificate; readable by nobody else."
    )
    cafile: FilePath | None = Field(None, description="PEM file with the CAs whose client certificates are accepted.")
    crlfile: FilePath | None = Field(
        None, description="PEM file with the lists of revoked client certificates of those CAs."
    )
    client_auth: Literal["none", "optional", "required"] = Field(
        "none",
        description="Whether a client shows a certificate besides its password; unset, optional with cafile.",
    )
    max_connections: Number = Field(
        0, ge=0, le=1_000_000, description="Connections at a time on this listener; 0 leaves it to limits.connections."
    )
    proxy_protocol: bool = Field(
        default=False,
        description="Whether a proxy in front says who the client is (PROXY protocol, version 1 or 2); needs trusted_proxies.",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), description="Addresses or networks of the proxies that are believed; connections of others are closed."
    )

    @model_validator(mode="before")
    @classmethod
    def _default_client_auth(cls, raw: object) -> object:
        if isinstance(raw, dict) and raw.get("cafile") is not None and "client_auth" not in raw:
            return {**raw, "client_auth": "optional"}
        return raw

    @field_validator("client_auth", mode="before")
    @classmethod
    def _null_is_none(cls, value: object) -> object:
        # YAML reads an empty value as null and a bare off as false; both mean the word none
        return "none" if value is None or value is False else value

    @model_validator(mode="after")
    def _consistent(self) -> ListenerSettings:
        if self.ssl and (self.certfile is None or self.keyfile is None):
            raise ValueError("ssl: true needs certfile and keyfile")
        if not self.ssl and any((self.certfile, self.keyfile, self.cafile, self.crlfile)):
            # an operator who names a certificate believes the listener is encrypted
            raise ValueError("certificate files are given, but ssl is not true")
        if self.client_auth != "none" and self.cafile is None:
            raise ValueError(f"client_auth: {self.client_auth} needs cafile (and ssl: true)")
        if self.crlfile is not None and self.cafile is None:
            raise ValueError("crlfile needs cafile")
        if self.proxy_protocol != bool(self.trusted_proxies):
            # everybody can write such a header: without a list of who is believed it would be a way to be anybody
            raise ValueError("proxy_protocol: true and trusted_proxies belong together")
        return self


class LogSettings(Section):
    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least important kind of line that is written."
    )
    format: Literal["text", "json"] = Field(
        "text", description="One line of text per entry for people, or one JSON object per line for programs."
    )


class LoginSettings(Section):
    connect_timeout_s: Seconds = Field(
        10.0,
        ge=0.1,
        le=300,
        description="Seconds from the TCP connection to the complete CONNECT, TLS handshake included.",
    )
    hash_threads: Number = Field(
        2,
        ge=1,
        le=MAX_HASH_THREADS,
        description="Threads that check passwords; as many as the machine has cores to spare.",
    )
    hash_queue: Number = Field(
        2000,
        ge=1,
        le=100_000,
        description="Logins that may wait for a password check; one more is answered 'server unavailable'.",
    )
    verified_cache: Number = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="Accounts whose last right password is remembered, as a digest in memory; 0: none.",
    )
    lockout_failures: Number = Field(
        10,
        ge=0,
        le=10_000,
        description="Wrong passwords for one account from one address that lock that pair; 0 never locks.",
    )
    lockout_window_s: Number = Field(600, ge=1, le=7 * DAY, description="Seconds within which failures are added up.")
    lockout_s: Number = Field(300, ge=1, le=7 * DAY, description="Seconds that a lock lasts.")
    address_failures: Number = Field(
        50,
        ge=0,
        le=1_000_000,
        description="Failed logins from one address, whatever the account, that lock the address; 0 never locks.",
    )


class RequestSettings(Section):
    unanswered: Literal["platform", "refuse"] = Field(
        "platform",
        description="What becomes of requests without an answer here: left to a platform, or refused.",
    )
    neutral_answers: bool = Field(
        default=True,
        description="Answer flight_areas_get and offline_map_get with an empty success; false leaves them to a platform.",
    )
    acknowledge: bool = Field(
        default=True,
        description="Acknowledge events and states that ask for a reply; false leaves that to a platform.",
    )
    handler_timeout_s: Seconds = Field(
        5.0,
        ge=0.1,
        le=60,
        description="Seconds after which a request that is still worked on is answered with an error.",
    )
    result_codes: dict[str, Number] = Field(
        default_factory=dict, description="Result numbers that replace the built-in ones, by name of the result."
    )

    @field_validator("result_codes")
    @classmethod
    def _codes_tell_failure(cls, codes: dict[str, int]) -> dict[str, int]:
        if problems := results.problems_of(codes):
            raise ValueError("; ".join(problems))
        return codes


class LimitSettings(Section):
    packet_bytes: Number = Field(
        2 * MIB,
        ge=KIB,
        le=MQTT_MAX_PACKET_BYTES,
        description="Bytes of the largest MQTT packet a client may send; a larger one ends its connection.",
    )
    connections: Number = Field(
        20_000, ge=1, le=1_000_000, description="Connections at a time on all listeners together."
    )
    connections_per_account: Number = Field(
        20, ge=0, le=1_000_000, description="Connections at a time of one account; 0 is no limit."
    )
    connections_per_address: Number = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Connections at a time from one address; 0 is no limit, as many docks may share one router.",
    )
    pending_connections: Number = Field(
        1000,
        ge=1,
        le=1_000_000,
        description="Connections at a time that have not sent CONNECT yet; for a further one the oldest is closed.",
    )
    logins_per_second: Number = Field(
        5000,
        ge=1,
        le=1_000_000,
        description="Logins a second of all clients together; further ones wait for their turn.",
    )
    messages_per_second: Number = Field(
        2000,
        ge=1,
        le=1_000_000,
        description="Messages a second that one connection may publish, pings and filters included; more end it.",
    )
    bytes_per_second: Number = Field(
        16 * MIB, ge=64 * KIB, le=1024 * MIB, description="Bytes a second that one connection may send; more end it."
    )
    memory_bytes: Number = Field(
        0, ge=0, le=1024 * 1024 * MIB, description="Memory of the process near which logins wait; 0 is no limit."
    )
    topic_bytes: Number = Field(1024, ge=128, le=UINT16, description="Bytes of the longest topic or topic filter.")
    topic_levels: Number = Field(
        16, ge=5, le=1024, description="Levels (parts between slashes) of the deepest topic or topic filter."
    )
    subscriptions: Number = Field(256, ge=1, le=100_000, description="Subscriptions of one session.")
    inflight: Number = Field(
        32,
        ge=1,
        le=UINT16,
        description="QoS 1 and 2 messages that one client may have unacknowledged at a time, each way.",
    )
    offline_messages: Number = Field(
        1000,
        ge=0,
        le=1_000_000,
        description="Messages kept for one absent or slow session; when full, the oldest is dropped.",
    )
    offline_bytes: Number = Field(
        4 * MIB, ge=0, le=1024 * MIB, description="Bytes of the messages kept for one absent or slow session."
    )
    outbound_bytes: Number = Field(
        4 * MIB,
        ge=64 * KIB,
        le=1024 * MIB,
        description="Bytes waiting in memory for one client that reads too slowly, before QoS 0 is dropped.",
    )
    session_expiry_s: Number = Field(
        DAY, ge=0, le=UINT32, description="Seconds that the session of an absent client is kept, at most."
    )
    keepalive_max_s: Number = Field(
        1200,
        ge=1,
        le=UINT16,
        description="Seconds of the longest keep alive; a client that asks for more, or for none (0), is held to this.",
    )
    retained_messages: Number = Field(
        10_000,
        ge=0,
        le=10_000_000,
        description="Retained messages of all topics together; an account has at most half of what others leave.",
    )
    retained_bytes: Number = Field(
        64 * MIB,
        ge=0,
        le=16 * 1024 * MIB,
        description="Bytes of all retained messages together, properties included; shared in the same way.",
    )
    requests_waiting: Number = Field(
        64,
        ge=1,
        le=10_000,
        description="Requests of one connection that may wait for an answer; no more are read until one is answered.",
    )


class AuditSettings(Section):
    keep_days: Number = Field(365, ge=1, le=36_500, description="Days that audit entries are kept.")


class CardSettings(Section):
    address: HostName | None = Field(
        None, description="Address that `dockgate card` tells operators to type into Pilot 2; without it, a guess."
    )
    port: Number | None = Field(
        None, ge=1, le=65_535, description="Port on that card; without it, the port of the TLS listener."
    )


class AdminSettings(Section):
    bind: BindAddressOrOff = Field(
        None,
        description='Address and port of health, metrics and API over HTTP, "A:P", or off; for others than this machine with TLS.',
    )
    certfile: FilePath | None = Field(
        None, description="PEM file with the certificate, then those that lead to its CA; with it HTTPS is spoken."
    )
    keyfile: FilePath | None = Field(None, description="PEM file with the private key of that certificate.")
    hosts: HostNames = Field(
        (),
        description="Names and addresses it is reached by, besides bind, the certificate's and this machine's; others are refused.",
    )
    trusted_proxies: Networks = Field(
        (),
        description="Addresses or networks of HTTP proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    requests_per_second: Number = Field(
        50,
        ge=1,
        le=100_000,
        description="Requests a second of one address, one token or one operator; more are put off.",
    )
    session_s: Number = Field(8 * HOUR, ge=1, le=30 * DAY, description="Seconds that an operator stays logged in.")
    session_idle_s: Number = Field(
        HOUR, ge=1, le=30 * DAY, description="Seconds without a request after which an operator is logged out."
    )


class DockgateSettings(Section):
    """The section ``dockgate`` of the file; each option can also come from the environment."""

    database: FilePath = Field(
        Path("dockgate.db"),
        description="The SQLite file; relative paths count from the directory of the configuration file.",
    )
    log: LogSettings = LogSettings()
    login: LoginSettings = LoginSettings()
    requests: RequestSettings = RequestSettings()
    limits: LimitSettings = LimitSettings()
    audit: AuditSettings = AuditSettings()
    card: CardSettings = CardSettings()
    admin: AdminSettings = AdminSettings()


_LISTENER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")
_CLASS_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\Z")


class FileSettings(Section):
    """The whole file."""

    listeners: dict[str, ListenerSettings] = Field(description="The doors for MQTT, by name.")
    plugins: dict[str, dict[str, Any]] = Field(
        description="What decides and answers, by dotted class name; the value is that plugin's options."
    )
    dockgate: DockgateSettings = DockgateSettings()

    @field_validator("plugins", mode="before")
    @classmethod
    def _plugin_without_options(cls, raw: object) -> object:
        if isinstance(raw, list):
            raise ValueError("must be a mapping (package.module.Class: {options}), not a list")  # noqa: TRY004
        if isinstance(raw, dict):
            return {name: {} if options is None else options for name, options in raw.items()}
        return raw

    @field_validator("plugins")
    @classmethod
    def _some_plugin(cls, plugins: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        if not plugins:
            # amqtt without plugins lets everybody in and allows every topic
            raise ValueError(
                "must name at least the plugin that checks accounts; without plugins everybody would be let in"
            )
        for name in plugins:
            if not _CLASS_NAME.match(name):
                raise ValueError(f"{name!r} is not a dotted class name (package.module.Class)")
        return plugins

    @field_validator("listeners")
    @classmethod
    def _distinct_listeners(cls, listeners: dict[str, ListenerSettings]) -> dict[str, ListenerSettings]:
        if not listeners:
            raise ValueError("must have at least one listener")
        taken: dict[str, str] = {}
        for name, listener in listeners.items():
            if name == "default":
                raise ValueError(
                    "a listener cannot be called 'default': the broker library copies that one into all others"
                )
            if not _LISTENER_NAME.match(name):
                raise ValueError(f"{name!r}: a listener's name is 1 to 32 letters, digits, - and _")
            other = taken.setdefault(str(listener.bind), name)
            if other != name and listener.bind.port != 0:
                raise ValueError(f"{other} and {name} both listen on {listener.bind}")
        return listeners
