"""mosquitto from Debian, and beside it a responder: a program of its own that is subscribed to requests and answers from SQLite.

Passwords by its password file with the hash that mosquitto_passwd makes, topics by its ACL file.
"""

from __future__ import annotations

import getpass
import shutil

from .base import HOST, Seeds, System, wait_until_listening

# %u is the account, which is the dock's SN here. No pattern can let a dock speak for the aircraft that it has; ours do not.
_ACL = """\
user platform
topic readwrite #

user responder
topic read thing/product/+/requests
topic write thing/product/+/requests_reply

pattern write thing/product/%u/requests
pattern write thing/product/%u/osd
pattern write thing/product/%u/state
pattern write thing/product/%u/events
pattern write thing/product/%u/services_reply
pattern write thing/product/%u/property/set_reply
pattern write sys/product/%u/status
pattern read thing/product/%u/requests_reply
pattern read thing/product/%u/services
pattern read thing/product/%u/events_reply
pattern read thing/product/%u/property/set
pattern read sys/product/%u/status_reply
"""

# set_tcp_nodelay: without it small replies wait for acknowledgements; nobody who looks for speed leaves it off
_CONFIGURATION = """\
per_listener_settings false
user {user}
allow_anonymous false
password_file {passwords}
acl_file {acl}
persistence false
max_connections -1
set_tcp_nodelay true
log_dest stderr

listener {port} {host}

listener {tls_port} {host}
cafile {ca}
certfile {certificate}
keyfile {key}
"""


class Mosquitto(System):
    """``responder``: one of ``servers/``."""

    def __init__(self, name: str, seeds: Seeds, *, responder: str) -> None:
        super().__init__(name, seeds)
        self._responder = responder

    @staticmethod
    def missing() -> str | None:
        return None if shutil.which("mosquitto") and shutil.which("mosquitto_passwd") else "Debian's mosquitto"

    def start(self) -> None:
        acl, file = self.folder / "acl", self.folder / "mosquitto.conf"
        acl.write_text(_ACL, encoding="utf-8")
        acl.chmod(0o600)
        file.write_text(
            _CONFIGURATION.format(
                user=getpass.getuser(),
                passwords=self.seeds.mosquitto_passwords,
                acl=acl,
                port=self.port,
                tls_port=self.tls_port,
                host=HOST,
                ca=self.seeds.ca,
                certificate=self.seeds.certificate,
                key=self.seeds.key,
            ),
            encoding="utf-8",
        )
        broker = self.run("mosquitto", ["mosquitto", "-c", file])
        for port in (self.port, self.tls_port):
            wait_until_listening(port, broker, self.log_of("mosquitto"))
        self.python(
            "responder",
            self._responder,
            str(self.port),
            self.seeds.fleet,
            self.peers_database(),
            self.seeds.synchronous(),
        )
