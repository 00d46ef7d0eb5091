"""A mail server of its own process for the fault tests: slow, and honest about what it has accepted.

    python sink.py LOG PACE

Prints its port. A message takes as many seconds as the file PACE says. It is accepted the moment its line is in
LOG, which is in the middle of that time; the sender is told so at the end. Whoever is killed in between has handed
it over without knowing. A line is the Message-ID and the recipient. Ends when its standard input ends, so it never
outlives the test that started it.
"""

import asyncio
import os
import sys
from email.parser import BytesHeaderParser
from pathlib import Path


class Sink:
    """Accepts everything."""

    def __init__(self, log: int, pace: Path) -> None:
        self.log = log
        self.pace = pace

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The dialogue, one command after the other; pipelined ones wait in the reader."""
        recipient = ""
        writer.write(b"220 sink ESMTP\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                writer.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
            elif verb == b"DATA":
                writer.write(b"354 go on\r\n")
                await writer.drain()
                await self.accept(await reader.readuntil(b"\r\n.\r\n"), recipient)
                writer.write(b"250 accepted\r\n")
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                return
            else:
                if verb == b"RCPT":
                    recipient = line.split(b"<", 1)[1].split(b">", 1)[0].decode()
                writer.write(b"250 ok\r\n")
            await writer.drain()

    async def accept(self, content: bytes, recipient: str) -> None:
        """Take the message, slowly."""
        half = float(self.pace.read_text()) / 2
        await asyncio.sleep(half)
        head = BytesHeaderParser().parsebytes(content.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n")
        os.write(self.log, f"{head['Message-ID']} {recipient}\n".encode())
        await asyncio.sleep(half)


async def main(path: str, pace: Path) -> None:
    """Serve until standard input ends."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    server = await asyncio.start_server(Sink(log, pace).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
