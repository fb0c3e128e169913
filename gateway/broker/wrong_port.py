"""What strangers say on a port that is not meant for it: their first bytes come in, the mistake goes out in words for the log."""

from __future__ import annotations

# By how they begin.
_MISTAKES = (
    (b"\x16\x03", "TLS was spoken to a listener without TLS: use the TLS port, or switch TLS off in the client"),
    (b"GET ", "HTTP was spoken to an MQTT listener: a browser or a WebSocket client on the wrong port"),
    (b"POST", "HTTP was spoken to an MQTT listener"),
    (b"HEAD", "HTTP was spoken to an MQTT listener"),
    (b"PROX", "a PROXY header was sent to a listener that does not expect one"),
)


def mistake_in(data: bytes) -> str:
    """``data`` is not the beginning of a CONNECT."""
    for beginning, mistake in _MISTAKES:
        if data.startswith(beginning):
            return mistake
    return "the first packet is not CONNECT [MQTT-3.1.0-1]"
