"""A client that costs little: one process holds many keep-alive connections and has one request under way on each.

Raw sockets and pre-serialised requests, so what is measured is the server. Answers are checked: status, length, and
that they contain what is expected.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class _Line:
    """One connection: what it has still to send, and what came of the present answer."""

    socket: socket.socket
    requests: list[bytes]
    sent: int = 0
    received: bytearray = field(default_factory=bytearray)


def post_all(port: int, connections: Sequence[list[bytes]], barrier: Any, expect: bytes) -> None:
    """Send each list of requests over a connection of its own, the next one as soon as the last is answered."""
    lines: dict[int, _Line] = {}
    poll = select.epoll()
    for requests in connections:
        opened = socket.create_connection(("127.0.0.1", port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        lines[opened.fileno()] = _Line(opened, requests)
        poll.register(opened.fileno(), select.EPOLLIN)
    barrier.wait()
    for line in lines.values():
        _send_next(line)
    open_lines = len(lines)
    while open_lines:
        for number, _event in poll.poll():
            line = lines[number]
            part = line.socket.recv(65536)
            if not part:
                raise SystemExit("the server closed the connection")
            line.received += part
            if _is_whole(line.received, expect):
                line.received.clear()
                if not _send_next(line):
                    open_lines -= 1
                    poll.unregister(number)
    for line in lines.values():
        line.socket.close()


def _send_next(line: _Line) -> bool:
    if line.sent == len(line.requests):
        return False
    line.socket.sendall(line.requests[line.sent])
    line.sent += 1
    return True


def _is_whole(received: bytearray, expect: bytes) -> bool:
    """Whether an answer has come to its end. Raises SystemExit when it is not the expected one."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(received[:end]).lower()
    _name, _colon, rest = head.partition(b"\r\ncontent-length:")
    chunked = b"transfer-encoding: chunked" in head
    if chunked and not received.endswith(b"0\r\n\r\n"):
        return False
    if not chunked and len(received) < end + 4 + int(rest.split(b"\r\n")[0]):
        return False
    if not received.startswith(b"HTTP/1.1 200") or expect not in received:
        raise SystemExit(f"unexpected answer: {bytes(received[:500])!r}")
    return True
