"""What `make demo` needs to act from outside: an HTTP client, a letter box, and a place where it is day."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import httpx

TIMEOUT_SECONDS: Final = 30.0
ZONES: Final = (
    "Pacific/Honolulu", "America/Los_Angeles", "America/Chicago", "America/Sao_Paulo", "Atlantic/Azores",
    "Europe/London", "Europe/Athens", "Asia/Dubai", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo",
    "Australia/Sydney", "Pacific/Auckland",
)  # fmt: skip


class Failed(Exception):
    """A step did not go as it should; the text says what was expected and what came."""


class Site:
    """The running system as the world sees it: pages, the ingest door with a write key, REST with an API key."""

    def __init__(self, base_url: str, *, write_key: str = "", api_key: str = "") -> None:
        self.base_url = base_url
        self.write_key = write_key
        self.api_key = api_key
        self._http = httpx.Client(base_url=base_url, timeout=TIMEOUT_SECONDS, follow_redirects=False)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def url(self, path: str) -> str:
        """The address to show for a path."""
        return path if path.startswith("http") else f"{self.base_url}{path}"

    def request(self, method: str, path: str, *, expect: tuple[int, ...], **options: Any) -> httpx.Response:
        """One request; Failed when the answer has another status, or none comes."""
        # Links come with BASE_URL, which need not be how this machine reaches itself.
        path = re.sub(r"^https?://[^/]+", "", path) or "/"
        try:
            answer = self._http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Failed(f"{method} {path}: no answer ({type(error).__name__})") from error
        if answer.status_code not in expect:
            wanted = " or ".join(str(code) for code in expect)
            raise Failed(f"{method} {path}: {answer.status_code} instead of {wanted}: {answer.text[:300]}")
        return answer

    def get(self, path: str, **params: Any) -> Any:
        """GET from the REST API."""
        return self._api("GET", path, params=params or None, expect=(200,)).json()

    def post(
        self, path: str, body: Any = None, *, expect: tuple[int, ...] = (200, 201), key: str = ""
    ) -> Any:
        """POST to the REST API, under an idempotency key when one is given."""
        headers = {"Idempotency-Key": key} if key else {}
        return self._api("POST", path, json=body, expect=expect, extra=headers).json()

    def patch(self, path: str, body: Any) -> Any:
        """PATCH over the REST API."""
        return self._api("PATCH", path, json=body, expect=(200,)).json()

    def _api(
        self,
        method: str,
        path: str,
        *,
        expect: tuple[int, ...],
        extra: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.api_key}", "Accept-Language": "en", **(extra or {})}
        return self.request(method, f"/api/v1{path}", headers=headers, expect=expect, **options)

    def send(self, *events: dict[str, Any]) -> dict[str, Any]:
        """A batch through the ingest door, as an SDK sends it."""
        answer = self.request(
            "POST", "/v1/batch", json={"batch": list(events)}, auth=(self.write_key, ""), expect=(200,)
        )
        found: dict[str, Any] = answer.json()
        if found.get("rejected"):
            raise Failed(f"the door refused {found['rejected']}")
        return found

    def page(self, path: str, *, language: str = "en") -> str:
        """A public page as a browser gets it."""
        return self.request("GET", path, headers={"Accept-Language": language}, expect=(200,)).text

    def submit(self, path: str, values: dict[str, str], *, language: str = "en") -> str:
        """Fill in the form of a page and press its button; the address it leads to."""
        fields = _hidden(self.page(path, language=language))
        if "csrfmiddlewaretoken" not in fields:
            raise Failed(f"{path} has no form that is protected against foreign posts")
        answer = self.request(
            "POST",
            path,
            data={**fields, **values},
            headers={"Accept-Language": language, "Referer": self.url(path)},
            expect=(200, 302, 303),
        )
        return str(answer.headers.get("Location", path))


class Letters:
    """E-mail that the system keeps in a folder instead of sending it; empty when it really sends."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._began = datetime.now(UTC).timestamp() - 5

    @property
    def can_read(self) -> bool:
        """Whether there is a folder to read."""
        return self.folder is not None

    def to(self, address: str) -> list[EmailMessage]:
        """Letters to an address since the walk began, oldest first."""
        return [letter for letter in self._all() if address in str(letter["To"])]

    def _all(self) -> Iterator[EmailMessage]:
        if self.folder is None or not self.folder.is_dir():
            return
        for path in sorted(self.folder.glob("*.log")):
            if path.stat().st_mtime < self._began:
                continue
            # Django's file backend ends each message with a line of 79 dashes.
            for part in path.read_bytes().split(b"\n" + b"-" * 79 + b"\n"):
                if part.strip():
                    yield message_from_bytes(part.lstrip(b"\n"), policy=policy.default)  # type: ignore[misc]


def text_of(letter: EmailMessage) -> str:
    """The plain text of a letter."""
    body = letter.get_body(("plain",))
    return str(body.get_content()) if body is not None else ""


def link_in(text: str, part: str) -> str:
    """The first link that contains `part`, without its host; empty when there is none."""
    found = re.search(rf"https?://[^\s<>\"]*({re.escape(part)}[^\s<>\"]*)", text)
    return found.group(1) if found else ""


def daytime_zone(now: datetime) -> str:
    """A time zone in which it is early afternoon now, so that quiet hours do not hold the walk up."""
    return min(ZONES, key=lambda name: abs(now.astimezone(ZoneInfo(name)).hour - 14))


class _Inputs(HTMLParser):
    """Hidden inputs of the last form that posts (the language switcher comes before it)."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.candidates: list[dict[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.fields = {}
            if values.get("method", "").lower() == "post" and "/i18n/" not in values.get("action", ""):
                self.candidates.append(self.fields)
        elif tag == "input" and values.get("type") == "hidden" and values.get("name"):
            self.fields[values["name"]] = values.get("value", "")


def _hidden(page: str) -> dict[str, str]:
    parser = _Inputs()
    parser.feed(page)
    return parser.candidates[-1] if parser.candidates else {}
