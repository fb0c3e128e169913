"""What is wrong, or probably not meant, with a configuration that can be loaded: for ``dockgate check``.

It looks at the files that are named (do they exist, who may read them), never into them: whether a key fits its
certificate is for ``gateway.pki`` to say. It changes nothing and never raises for what it finds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.config.settings import FileSettings, ListenerSettings

AUTH_PLUGIN = "broker_plugins.auth.AccountAuthPlugin"
TOPIC_PLUGIN = "broker_plugins.acl.TopicRulesPlugin"
REQUESTS_PLUGIN = "broker_plugins.requests.DockRequestsPlugin"
PRESENCE_PLUGIN = "broker_plugins.presence.PresencePlugin"
# What is lost without each; the order is the one in which a message meets them.
SHIPPED_PLUGINS: dict[str, str] = {
    AUTH_PLUGIN: "no account of the database can log in",
    TOPIC_PLUGIN: "the topic rules are not applied: one dock may read and write for another",
    REQUESTS_PLUGIN: "requests of docks are not answered, so no dock gets its license or is bound",
    PRESENCE_PLUGIN: "nobody notices which docks are online",
}
ANONYMOUS_PLUGIN = "amqtt.plugins.authentication.AnonymousAuthPlugin"


@dataclass(frozen=True, slots=True)
class Problem:
    """``where``: option or file; ``what``: what is wrong; ``hint``: the step that mends it, "" when there is none."""

    where: str
    what: str
    hint: str


def problems(settings: FileSettings, path: Path) -> list[Problem]:
    return [
        *_configuration_file(path),
        *(
            problem
            for name, listener in settings.listeners.items()
            for problem in _listener(f"listeners.{name}", listener)
        ),
        *_shared_ports(settings),
        *_plugins(settings),
        *_database(settings.dockgate.database),
        *_admin(settings),
    ]


def _configuration_file(path: Path) -> Iterator[Problem]:
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        # the file names Python classes that the gateway imports and runs
        yield Problem(
            str(path), "anybody on this machine can change it, and with it what the gateway runs", f"chmod o-w {path}"
        )


def _listener(where: str, listener: ListenerSettings) -> Iterator[Problem]:
    for name in ("certfile", "keyfile", "cafile", "crlfile"):
        file: Path | None = getattr(listener, name)
        if file is not None:
            yield from _file(f"{where}.{name}", file, private=name == "keyfile")
    if not listener.ssl and not listener.bind.is_loopback:
        yield Problem(
            f"{where}.bind",
            f"listens on {listener.bind} without TLS: passwords and licenses can be read on the way",
            "set ssl: true with certfile and keyfile, or bind it to 127.0.0.1",
        )


def _file(where: str, file: Path, *, private: bool) -> Iterator[Problem]:
    hint = "dockgate init makes certificates for a new installation, dockgate cert renew for this one"
    try:
        mode = file.stat().st_mode
    except OSError as error:
        yield Problem(where, f"{file}: {error.strerror or error}", hint)
        return
    if not stat.S_ISREG(mode):
        yield Problem(where, f"{file}: is not a file", hint)
    elif not os.access(file, os.R_OK):
        yield Problem(where, f"{file}: this user may not read it", f"chown it to the user that runs dockgate: {file}")
    elif private and mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        # group-readable is left alone: it is how distributions share a key with a service (ssl-cert)
        yield Problem(where, f"{file}: others than its owner may use this private key", f"chmod 600 {file}")


def _shared_ports(settings: FileSettings) -> Iterator[Problem]:
    binds = [(f"listeners.{name}.bind", listener.bind) for name, listener in settings.listeners.items()]
    if (admin := settings.dockgate.admin.bind) is not None:
        binds.append(("admin.bind", admin))
    for index, (where, bind) in enumerate(binds):
        for other_where, other in binds[:index]:
            same_address = bind.host == other.host or (
                (bind.is_wildcard or other.is_wildcard) and (":" in bind.host) == (":" in other.host)
            )
            if bind.port and bind.port == other.port and same_address:
                yield Problem(
                    where, f"{bind} is taken by {other_where} ({other}) already", "give one of them another port"
                )


def _plugins(settings: FileSettings) -> Iterator[Problem]:
    for name, loss in SHIPPED_PLUGINS.items():
        if name not in settings.plugins:
            yield Problem("plugins", f"{name} is missing: {loss}", f"add it under plugins:   {name}: {{}}")
    if ANONYMOUS_PLUGIN in settings.plugins:
        yield Problem("plugins", f"{ANONYMOUS_PLUGIN} lets clients in without a password", "remove it")


def _database(database: Path) -> Iterator[Problem]:
    try:
        database.stat()
    except PermissionError:
        what = f"{database}: this user may not look into its directory"
        yield Problem("database", what, "run as the user that owns it")
        return
    except OSError:  # told below
        pass
    if database.is_dir():
        yield Problem("database", f"{database}: is a directory", "name a file")
    elif not database.exists():
        yield Problem(
            "database", f"{database}: does not exist", "dockgate backup restore FILE, or dockgate init --dir NEW"
        )
    elif not os.access(database, os.R_OK | os.W_OK) or not os.access(database.parent, os.W_OK):
        # SQLite makes its -wal and -shm files beside the database
        yield Problem(
            "database", f"{database}: this user may not write it and its directory", "run as the user that owns it"
        )


def _admin(settings: FileSettings) -> Iterator[Problem]:
    admin = settings.dockgate.admin
    if admin.bind is None:
        return
    for name in ("certfile", "keyfile"):
        file: Path | None = getattr(admin, name)
        if file is not None:
            yield from _file(f"admin.{name}", file, private=name == "keyfile")
    if (admin.certfile is None) != (admin.keyfile is None):
        yield Problem("admin", "certfile and keyfile belong together", "set both, or none")
    if not admin.bind.is_loopback and admin.certfile is None:
        yield Problem(
            "admin.bind",
            f"others could reach it on {admin.bind} without TLS, so it is not opened there",
            "set admin.certfile and admin.keyfile, or bind it to 127.0.0.1 and put a TLS proxy or an SSH tunnel before it",
        )
