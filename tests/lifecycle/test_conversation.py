"""The dialogue with a mail server: commands that run ahead, and what becomes of them when something goes wrong."""

from __future__ import annotations

import smtplib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from django.test import override_settings

from lifecycle.services.mailer import Answer, Mailer
from lifecycle.services.mime import Envelope

HELLO = b"220 test\r\n"
EHLO = b"250-test\r\n250 PIPELINING\r\n"


class Server:
    """Answers each packet it is sent by what a script says about it, and keeps the packets."""

    def __init__(self, script: Callable[[bytes, int], bytes | None]) -> None:
        self.packets: list[bytes] = []
        self.connections = 0
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _address = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with peer:
                peer.sendall(HELLO)
                while packet := peer.recv(65536):
                    if packet.lower().startswith(b"ehlo"):
                        peer.sendall(EHLO)
                        continue
                    self.packets.append(packet)
                    answer = self._script(packet, len(self.packets))
                    if answer is None:
                        break
                    peer.sendall(answer)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[bytes, int], bytes | None]], Server]]:
    """Start a server with a script; its settings are in force until the test ends."""
    servers, overrides = [], []

    def start(script: Callable[[bytes, int], bytes | None]) -> Server:
        server = Server(script)
        servers.append(server)
        settings = override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=server.port,
            EMAIL_HOST_USER="",
            EMAIL_HOST_PASSWORD="",
            EMAIL_USE_TLS=False,
            EMAIL_USE_SSL=False,
        )
        settings.enable()
        overrides.append(settings)
        return server

    yield start
    for settings in overrides:
        settings.disable()
    for server in servers:
        server.close()


def letters(count: int) -> list[Envelope]:
    return [
        Envelope(number, f"reader-{number}@example.com", f"No. {number}", "Hello\n.\nBye\n", "en", "today")
        for number in range(1, count + 1)
    ]


def usual(packet: bytes, _place: int) -> bytes:
    """Yes to everything, one line per command and one per content."""
    answer = b"250 2.0.0 queued\r\n" if b"\r\n.\r\n" in packet else b""
    commands = packet.rpartition(b"\r\n.\r\n")[2]
    if commands.startswith(b"MAIL"):
        answer += b"250-2.1.0 ok\r\n250 go on\r\n250 ok\r\n354 content\r\n"
    return answer or b"221 bye\r\n"


def test_the_commands_of_the_next_travel_with_the_content(serve):
    server = serve(usual)
    one, two, three = letters(3)
    with Mailer() as mailer:
        outcomes = [mailer.send(one, then=two), mailer.send(two, then=three), mailer.send(three)]
    assert [outcome.answer for outcome in outcomes] == [Answer.SENT] * 3
    announce, first, second, third, bye = server.packets
    assert announce.split(b"\r\n")[1:] == [b"RCPT TO:<reader-1@example.com>", b"DATA", b""]
    for packet, own, following in ((first, 1, 2), (second, 2, 3)):
        content, _end, commands = packet.partition(b"\r\n.\r\n")
        assert b"To: reader-%d@example.com\r\n" % own in content
        assert b"\r\n..\r\n" in content
        assert b"RCPT TO:<reader-%d@example.com>" % following in commands
        assert commands.endswith(b"DATA\r\n")
    assert third.endswith(b"\r\n.\r\n")
    assert bye.lower() == b"quit\r\n"
    assert server.connections == 1


def test_an_announced_e_mail_that_is_not_sent_leaves_no_trace(serve):
    server = serve(usual)
    one, two = letters(2)
    with Mailer() as mailer:
        assert mailer.send(one, then=two).answer is Answer.SENT
    assert sum(packet.count(b"\r\n.\r\n") for packet in server.packets) == 1
    assert not any(packet.lower().startswith(b"quit") for packet in server.packets)


def test_a_server_that_hangs_up_between_two_e_mails_gets_the_second_on_a_new_connection(serve):
    def script(packet: bytes, place: int) -> bytes | None:
        if place == 2:
            return b"250 queued\r\n421 4.7.0 enough of this connection\r\n421 no\r\n421 no\r\n"
        return usual(packet, place)

    server = serve(script)
    one, two = letters(2)
    with Mailer() as mailer:
        assert mailer.send(one, then=two).answer is Answer.SENT
        assert mailer.send(two).answer is Answer.SENT
    assert server.connections == 2
    assert sum(b"To: reader-2@example.com" in packet for packet in server.packets) == 1


def test_hanging_up_on_the_content_is_the_doubt_of_that_e_mail_alone(serve):
    def script(packet: bytes, place: int) -> bytes | None:
        return None if place == 2 else usual(packet, place)

    server = serve(script)
    one, two = letters(2)
    with Mailer() as mailer:
        assert mailer.send(one, then=two).answer is Answer.UNKNOWN
        assert mailer.send(two).answer is Answer.SENT
    assert sum(b"To: reader-2@example.com" in packet for packet in server.packets) == 1


def test_an_address_refused_ahead_is_told_when_its_turn_comes(serve):
    def script(packet: bytes, place: int) -> bytes | None:
        if place == 2:
            return b"250 queued\r\n250 ok\r\n550 5.1.1 nobody here\r\n554 no recipients\r\n"
        if packet.startswith(b"RSET"):
            return b"250 ok\r\n"
        return usual(packet, place)

    server = serve(script)
    one, two, three = letters(3)
    with Mailer() as mailer:
        assert mailer.send(one, then=two).answer is Answer.SENT
        refused = mailer.send(two, then=three)
        assert (refused.answer, refused.detail) == (Answer.NO_SUCH_ADDRESS, "550 5.1.1")
        assert mailer.send(three).answer is Answer.SENT
    assert server.connections == 1
    assert not any(b"To: reader-2@example.com" in packet for packet in server.packets)


def test_a_server_without_pipelining_is_asked_one_by_one(serve, monkeypatch):
    monkeypatch.setattr(smtplib.SMTP, "has_extn", lambda self, name: False)

    def script(packet: bytes, place: int) -> bytes | None:
        if packet.startswith(b"DATA"):
            return b"354 content\r\n"
        return b"250 ok\r\n"

    server = serve(script)
    one, two = letters(2)
    with Mailer() as mailer:
        assert mailer.send(one, then=two).answer is Answer.SENT
        assert mailer.send(two).answer is Answer.SENT
    assert [packet[:4] for packet in server.packets[:8]] == [b"MAIL", b"RCPT", b"DATA", b"From"] * 2
