"""Run by ``test_offline``, in a network of its own where that may be had: a gateway and a dock, and what was sent to elsewhere.

There every address is routed to the loopback interface, so that an attempt to reach the internet would be made, and counted by
the kernel. Arguments: configuration, CA, password, organization, binding code. Result: JSON on standard output.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import socket
import struct
import sys
from pathlib import Path

from process import Served  # beside this script

from gateway.simulator import MODELS, Target, TlsFiles, make_profile, run_dock

SIOCSIFFLAGS, SIOCADDRT = 0x8914, 0x890B  # netdevice(7), linux/sockios.h
IFF_UP_RUNNING, RTF_UP = 0x41, 0x1


def open_loopback() -> None:
    """Switch on ``lo`` and make it the way to everywhere."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP_RUNNING))
        anywhere = struct.pack("=HH4s8x", socket.AF_INET, 0, b"\0" * 4)
        name = ctypes.create_string_buffer(b"lo")
        # struct rtentry: destination, gateway, mask and flags, then the metric and the device's name
        entry = struct.pack(
            "@L16s16s16sHhLPhPLLH", 0, anywhere, anywhere, anywhere, RTF_UP, 0, 0, 0, 0, ctypes.addressof(name), 0, 0, 0
        )
        fcntl.ioctl(sock, SIOCADDRT, entry)


def counted() -> dict[str, int]:
    """Connections begun and datagrams sent since this network exists."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    table = {
        names[0]: dict(zip(names[1:], values[1:], strict=True))
        for names, values in zip(lines[::2], lines[1::2], strict=True)
    }
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return {
        "connects": int(table["Tcp:"]["ActiveOpens"]),
        "datagrams": int(table["Udp:"]["OutDatagrams"]) + int(six["Udp6OutDatagrams"]),
    }


def peers(pid: int) -> list[str]:
    """Whom the process has sockets with, this machine apart: the other ends, as the kernel has them."""
    mine = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            mine.add(str(entry.readlink()))
    found = []
    for kind in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]:
            words = line.split()
            address, _, port = words[2].partition(":")
            if f"socket:[{words[9]}]" in mine and port != "0000" and not address.endswith(("0100007F", "01000000")):
                found.append(f"{kind} {words[2]}")
    return found


def main(config: str, ca: str, password: str, organization: str, code: str) -> None:
    alone = os.environ.get("ALONE") == "1"
    if alone:
        open_loopback()
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
            probe.sendto(b"x", ("192.0.2.77", 123))  # what must not happen is noticed when it does
        assert counted()["datagrams"] == 1
    before = counted()
    profile = make_profile(
        MODELS["dock3"], account="dock-a", password=password, organization_id=organization, binding_code=code
    )
    with Served(Path(config)).ready() as gateway:
        target = Target("localhost", gateway.port("tls"), tls=TlsFiles(ca=Path(ca)))
        runs = [run_dock(target, profile) for _ in range(2)]
        met = peers(gateway.pid)
        after = counted()
    json.dump(
        {
            "ok": [run.ok for run in runs],
            "steps": {step.step: step.ms for step in runs[0].steps},
            "connects": after["connects"] - before["connects"],
            "datagrams": after["datagrams"] - before["datagrams"],
            "peers": met,
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
