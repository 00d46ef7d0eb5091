"""SMTP in as few packets as the server allows, over the connection that smtplib opened, greeted and secured.

With PIPELINING (RFC 2920) the end of one message and the commands of the next travel together, so an e-mail costs
one round trip. Only commands run ahead: no content leaves before it is asked for by name. Replies are read in the
order of their commands; what a command of the next e-mail was answered is kept until that e-mail's turn.
"""

from __future__ import annotations

import smtplib
from collections import deque
from typing import Any, Final

Reply = tuple[int, bytes]
LONGEST_REPLY: Final = 64_000


class Conversation:
    """One connection. Raises OSError and SMTPServerDisconnected when it is gone."""

    def __init__(self, smtp: smtplib.SMTP, *, sender: str) -> None:
        self._smtp = smtp
        self._socket: Any = smtp.sock
        self._mail_from = f"MAIL FROM:<{sender}>\r\n".encode("ascii", "replace")
        self._pipelining = smtp.has_extn("pipelining")
        self._announced: str | None = None
        self._lines: deque[bytes] = deque()
        self._rest = b""

    @property
    def runs_ahead(self) -> bool:
        """Whether the commands of another e-mail are under way already."""
        return self._announced is not None

    def announce(self, address: str) -> list[Reply]:
        """MAIL, RCPT and DATA; the replies, fewer than three when an early one is a refusal."""
        if self._pipelining:
            if self._announced is None:
                self._socket.sendall(self._commands(address))
            elif self._announced != address:
                raise smtplib.SMTPServerDisconnected("another e-mail was announced")
            self._announced = None
            return [self._reply(), self._reply(), self._reply()]
        replies: list[Reply] = []
        for command in (self._mail_from, b"RCPT TO:<" + address.encode() + b">\r\n", b"DATA\r\n"):
            self._socket.sendall(command)
            replies.append(self._reply())
            if replies[-1][0] >= 400:
                break
        return replies

    def hand_over(self, content: bytes, *, then: str | None) -> None:
        """The content the server waits for, and with it the commands for the address that comes next, if any."""
        if b"\n." in content:  # the first line is a header
            content = content.replace(b"\n.", b"\n..")
        if then is not None and self._pipelining:
            self._socket.sendall(b"".join((content, b".\r\n", self._commands(then))))
            self._announced = then
        else:
            self._socket.sendall(content + b".\r\n")

    def verdict(self) -> Reply:
        """What the server says of the content."""
        return self._reply()

    def abandon(self, *, waits_for_content: bool) -> None:
        """Back to the beginning after a refusal; a server that waits for content all the same is given none."""
        if waits_for_content:
            self._socket.sendall(b".\r\n")
            self._reply()
        self._socket.sendall(b"RSET\r\n")
        self._reply()

    def _commands(self, address: str) -> bytes:
        return b"".join((self._mail_from, b"RCPT TO:<", address.encode(), b">\r\nDATA\r\n"))

    def _reply(self) -> Reply:
        """The next reply, all its lines in one text."""
        text = b""
        while True:
            while not self._lines:
                self._receive()
            line = self._lines.popleft()
            text = text + b"\n" + line[4:] if text else line[4:]
            if line[3:4] != b"-":
                try:
                    return int(line[:3]), text
                except ValueError:
                    raise smtplib.SMTPServerDisconnected("not a reply") from None
            if len(text) > LONGEST_REPLY:
                raise smtplib.SMTPServerDisconnected("reply too long")

    def _receive(self) -> None:
        more = self._socket.recv(65536)
        if not more:
            raise smtplib.SMTPServerDisconnected("connection unexpectedly closed")
        *lines, self._rest = (self._rest + more).split(b"\r\n")
        self._lines.extend(lines)
        if len(self._rest) > LONGEST_REPLY:
            raise smtplib.SMTPServerDisconnected("reply too long")
