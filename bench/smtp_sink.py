"""A mail server that accepts everything and only counts: one asyncio process, no parsing beyond the dialogue.

Prints its port on the first line. For each message it appends the value of the `Message-ID` header to the
file given as argument, if one is given, so that a bench can count losses and doubles. Two verbs of its own:
`XSTAT` answers `250 <messages> <most connections that sent mail at once>`, `XLAST` answers `250 <bytes>` and then the
last message.
"""

import asyncio
import sys
from pathlib import Path
from typing import BinaryIO

REPLIES = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}
OK = b"250 ok\r\n"


class Counters:
    """What the sink has seen."""

    messages = 0
    open = 0
    most = 0
    last = b""


class Sink(asyncio.Protocol):
    """One connection."""

    def __init__(self, log: BinaryIO | None) -> None:
        self.log = log
        self.buffer = bytearray()
        self.in_data = False
        self.sends = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self.transport = transport
        transport.write(b"220 sink ESMTP\r\n")  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        """Count down."""
        Counters.open -= self.sends

    def data_received(self, data: bytes) -> None:
        """Answer every complete line or message in the buffer with one write."""
        self.buffer += data
        answers = []
        while True:
            if self.in_data:
                end = self.buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                Counters.messages += 1
                Counters.last = bytes(self.buffer[: end + 2])
                if self.log is not None:
                    self.note(Counters.last)
                del self.buffer[: end + 5]
                self.in_data = False
                answers.append(OK)
                continue
            end = self.buffer.find(b"\r\n")
            if end < 0:
                break
            verb = bytes(self.buffer[:4]).upper()
            if verb == b"XSTA":
                answers.append(b"250 %d %d\r\n" % (Counters.messages, Counters.most))
                del self.buffer[: end + 2]
                continue
            if verb == b"XLAS":
                answers.append(b"250 %d\r\n" % len(Counters.last) + Counters.last)
                del self.buffer[: end + 2]
                continue
            del self.buffer[: end + 2]
            answers.append(REPLIES.get(verb, OK))
            if verb == b"DATA":
                self.in_data = True
                if not self.sends:
                    self.sends = True
                    Counters.open += 1
                    Counters.most = max(Counters.most, Counters.open)
            elif verb == b"QUIT":
                self.transport.write(b"".join(answers))  # type: ignore[attr-defined]
                self.transport.close()
                return
        if answers:
            self.transport.write(b"".join(answers))  # type: ignore[attr-defined]

    def note(self, message: bytes) -> None:
        """Append the message's id to the log."""
        head = message.split(b"\r\n\r\n", 1)[0].lower()
        start = head.find(b"message-id:")
        line = message[start + 11 : head.find(b"\r\n", start)] if start >= 0 else b"?"
        self.log.write(line.strip() + b"\n")  # type: ignore[union-attr]


async def main(path: str | None) -> None:
    """Serve until ended."""
    log = Path(path).open("ab", buffering=0) if path else None  # noqa: SIM115
    server = await asyncio.get_running_loop().create_server(lambda: Sink(log), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
