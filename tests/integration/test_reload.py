"""SIGHUP: what can change while docks are connected does; what can't is named; an unusable file changes nothing."""

from __future__ import annotations

import signal
from typing import Any

from .process import Served


def test_a_reload_takes_over_what_it_can_and_names_the_rest(installation: Any) -> None:
    with Served(installation.config_file) as gateway:
        gateway.ready()

        def change(settings: dict[str, Any]) -> None:
            settings["dockgate"]["log"]["level"] = "debug"
            settings["dockgate"].setdefault("limits", {})["inflight"] = 7
            settings["listeners"]["tls"].update(cafile="certs/ca.pem", client_auth="required")

        installation.configure(change)
        gateway.signal(signal.SIGHUP)
        gateway.line(r"reload: options taken over option=.*log\.level")
        gateway.line(r"reload: options that need a restart.*limits\.inflight")
        gateway.line(r"reload: new connections use the files as they are now listener=tls")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0


def test_an_unusable_file_leaves_the_old_configuration(installation: Any) -> None:
    with Served(installation.config_file) as gateway:
        gateway.ready()
        installation.config_file.write_text("listeners: [")
        gateway.signal(signal.SIGHUP)
        gateway.line("reload: the configuration can't be used, the old one stays in use")
        gateway.line(r"reload: new connections use the files as they are now listener=tls")
        gateway.signal(signal.SIGTERM)
        assert gateway.wait() == 0
