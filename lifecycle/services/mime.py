"""E-mail as bytes, built by hand from parts that are made once: a frame per language, headers per batch.

`email.message` costs more per message than all else we do for it. What is built here is plain: two parts, text
and HTML, the HTML in pure ASCII with character references; header values are encoded (RFC 2047) and are one
line by construction. Message-ID depends on the message alone, so a copy is recognised as one.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.utils import format_datetime, formataddr, parseaddr
from functools import lru_cache
from html import escape
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext, override

BOUNDARY: Final = "=_renxin_part_7d1c5a"
MAX_LINE: Final = 900  # RFC 5322 allows 998
_HTML_HEAD = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
_TO_TEXT = (
    f'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="{BOUNDARY}"\r\n\r\n--{BOUNDARY}\r\n'
).encode()
_NEXT_PART = f"\r\n--{BOUNDARY}\r\n".encode()
_END = f"\r\n--{BOUNDARY}--\r\n".encode()
_LINK = re.compile(r"https?://[^\s<>\"']+[^\s<>\"'.,;:!?，。；：！？、)）】]")
_ADDRESS = re.compile(r"[^\s<>@\"(),:;\\\x00-\x1f]+@[^\s<>@\"(),:;\\\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Envelope:
    """One e-mail, ready to be handed over; `unsubscribe` is empty for transactional mail."""

    message_id: int
    address: str
    subject: str
    body: str
    language: str
    date: str
    inbox_url: str = ""
    unsubscribe_url: str = ""
    sender: str = field(default="")
    shared_body: str = ""
    words: tuple[tuple[str, str], ...] = ()

    @property
    def reference(self) -> str:
        """The Message-ID, always the same for the same message."""
        return f"<{self.message_id}.{_mark(self.message_id)}@{_domain()}>"

    def headers(self) -> list[tuple[str, str]]:
        """Everything but From, To, Subject and the MIME headers."""
        rows = [("Date", self.date), ("Message-ID", self.reference), ("Auto-Submitted", "auto-generated")]
        if self.unsubscribe_url:
            rows.append(("List-Unsubscribe", f"<{self.unsubscribe_url}>"))
            rows.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
        return rows

    def html(self) -> bytes:
        """The HTML part: the text, decorated."""
        return b"".join(_html(self)[0])

    def as_bytes(self) -> bytes:
        """The whole message with CRLF line ends."""
        rows = "\r\n".join([f"{name}: {value}" for name, value in self.headers()])
        head = f"{_head(self.sender)}{self.address}\r\nSubject: {_encoded(self.subject)}\r\n{rows}\r\n"
        html, fits = _html(self)
        return b"".join(
            (
                head.encode("ascii"),
                _TO_TEXT,
                _part("plain", self.text()),
                _NEXT_PART,
                *((_HTML_HEAD, *html) if fits else (_part("html", b"".join(html)),)),
                _END,
            )
        )

    def text(self) -> bytes:
        """The text part: the body and, below a line, the links."""
        words = _words(self.language)
        foot = ""
        if self.inbox_url:
            foot += f"\n{words.inbox}: {self.inbox_url}"
        if self.unsubscribe_url:
            foot += f"\n{words.unsubscribe}: {self.unsubscribe_url}"
        text = self.body if not foot else f"{self.body}\n-- {foot}\n"
        return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode()


@dataclass(frozen=True, slots=True)
class _Words:
    inbox: str
    unsubscribe: str
    inbox_html: str
    unsubscribe_html: str


def is_address(address: str) -> bool:
    """Whether this can stand in a header and an SMTP command as it is: ASCII, one @, nothing that ends a line."""
    return address.isascii() and len(address) <= 254 and _ADDRESS.fullmatch(address) is not None


def http_date(now: datetime) -> str:
    """The Date header; made once per batch."""
    return format_datetime(now)


@lru_cache(maxsize=8)
def from_header(sender: str) -> str:
    """The From header of the house."""
    name, address = parseaddr(sender or settings.DEFAULT_FROM_EMAIL)
    return formataddr((str(Header(name, "utf-8")) if name and not name.isascii() else name, address))


def from_address(sender: str = "") -> str:
    """The bare address of the house, for MAIL FROM."""
    return parseaddr(sender or settings.DEFAULT_FROM_EMAIL)[1]


@lru_cache(maxsize=8)
def _head(sender: str) -> str:
    return f"From: {from_header(sender)}\r\nTo: "


def _html(envelope: Envelope) -> tuple[tuple[bytes, ...], bool]:
    """The frame of the language with this text in it, as pieces of ASCII; and whether every line is short enough
    for mail."""
    before, middle, after = _frame(envelope.language)
    words = _words(envelope.language)
    foot = []
    if envelope.inbox_url:
        foot.append(f'<a href="{escape(envelope.inbox_url)}">{words.inbox_html}</a>')
    if envelope.unsubscribe_url:
        foot.append(f'<a href="{escape(envelope.unsubscribe_url)}">{words.unsubscribe_html}</a>')
    if envelope.shared_body:
        body = _shared_paragraphs(envelope.shared_body)
        for mark, word in envelope.words:
            body = body.replace(_ascii(mark), _ascii(escape(word)))
    else:
        body = _ascii(_paragraphs(envelope.body))
    links = " \r\n".join(foot).encode("ascii")
    return (before, body, middle, links, after), _fits(body) and _fits(links)


@lru_cache(maxsize=64)
def _shared_paragraphs(text: str) -> bytes:
    """The paragraphs of a body that many readers share, their own words still marked."""
    return _ascii(_paragraphs(text))


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "xmlcharrefreplace")


def _paragraphs(text: str) -> str:
    """Escaped text in paragraphs, with its links made clickable."""
    blocks = []
    for block in text.strip().replace("\r\n", "\n").split("\n\n"):
        lines = "<br>\r\n".join(
            _LINK.sub(r'<a href="\g<0>">\g<0></a>', escape(line)) for line in block.split("\n")
        )
        blocks.append(f'<p style="margin:0 0 16px">{lines}</p>')
    return "\r\n".join(blocks)


def _part(subtype: str, content: bytes) -> bytes:
    """One MIME part; ASCII goes as it is, all else in base64."""
    if content.isascii() and _fits(content):
        encoding, payload = "7bit", content
    else:
        encoding = "base64"
        whole = binascii.b2a_base64(content, newline=False)
        payload = b"\r\n".join([whole[start : start + 76] for start in range(0, len(whole), 76)])
    head = f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode() + payload


def _fits(content: bytes) -> bool:
    """No line is longer than mail allows. Frames are made of short lines, so only what is put into them is asked."""
    return len(content) <= MAX_LINE or max(map(len, content.split(b"\r\n"))) <= MAX_LINE


@lru_cache(maxsize=256)
def _encoded(text: str) -> str:
    """A header value: as it is, or in encoded words of whole characters (RFC 2047)."""
    if text.isascii() and len(text) <= 200:
        return text
    words = (text[start : start + 14].encode() for start in range(0, len(text), 14))
    return "\r\n ".join(f"=?utf-8?b?{binascii.b2a_base64(word, newline=False).decode()}?=" for word in words)


@lru_cache(maxsize=1)
def _domain() -> str:
    return urlsplit(settings.BASE_URL).hostname or "localhost"


def _mark(message_id: int) -> str:
    """Makes the Message-ID ours: another installation with the same numbers has other ones."""
    return hashlib.blake2s(b"%d" % message_id, key=_key(settings.SECRET_KEY), digest_size=6).hexdigest()


@lru_cache(maxsize=2)
def _key(secret: str) -> bytes:
    return secret.encode()[:32]


@lru_cache(maxsize=16)
def _words(language: str) -> _Words:
    with override(language):
        words = gettext("Your messages"), gettext("Unsubscribe")
    return _Words(*words, *(_ascii(escape(word)).decode() for word in words))


@lru_cache(maxsize=16)
def _frame(language: str) -> tuple[bytes, bytes, bytes]:
    """The decoration, made by MJML once per process and language, cut where the contents go."""
    from mjml import mjml2html

    source = f"""
    <mjml lang="{language}">
      <mj-head>
        <mj-attributes><mj-all font-family="-apple-system,'Segoe UI','PingFang SC','Microsoft YaHei',sans-serif"/>
        </mj-attributes>
      </mj-head>
      <mj-body background-color="#f6f5f2">
        <mj-section padding="24px 0 0"><mj-column background-color="#ffffff" border-radius="12px">
          <mj-text font-size="16px" line-height="1.6" color="#1f2430" padding="28px 32px 12px">@@BODY@@</mj-text>
        </mj-column></mj-section>
        <mj-section padding="8px 0 24px"><mj-column>
          <mj-text font-size="13px" line-height="1.5" color="#5b6070" align="center">@@FOOT@@</mj-text>
        </mj-column></mj-section>
      </mj-body>
    </mjml>"""
    page = str(mjml2html(source))
    lines = [line.strip() for line in page.splitlines()]
    flat = "\r\n".join(line for line in lines if line)
    flat = re.sub(r">\s*<", ">\r\n<", flat)
    before, _, rest = flat.partition("@@BODY@@")
    middle, _, after = rest.partition("@@FOOT@@")
    return tuple(part.encode("ascii", "xmlcharrefreplace") for part in (before, middle, after))  # type: ignore[return-value]
