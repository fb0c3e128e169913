"""paho's client with one flaw mended: no socket is left open behind a handshake that failed."""

from __future__ import annotations

import socket
import ssl

import paho.mqtt.client as mqtt


class PahoClient(mqtt.Client):
    """paho leaves a socket open whose TLS or WebSocket handshake failed; this one remembers it so that it can be
    closed.

    Overrides two private methods of paho 2.1 and 2.2. Were they renamed, TLS would go paho's way and only the closing
    would be lost.
    """

    attempt: list[socket.socket]
    tls: ssl.SSLContext

    def _create_socket_connection(self) -> socket.socket:
        opened: socket.socket = super()._create_socket_connection()
        # An acknowledgement followed by a request would wait 40 ms for the peer's delayed ACK, and that would be measured.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.attempt.append(opened)
        return opened

    def _ssl_wrap_socket(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        wrapped = self.tls.wrap_socket(tcp_sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.attempt.append(wrapped)
        wrapped.settimeout(self.connect_timeout)
        wrapped.do_handshake()
        return wrapped
