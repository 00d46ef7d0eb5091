"""What the browser tests ask of every page: no errors, no raw texts, and usable by everybody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

SCRIPT = (Path(__file__).parent / "accessibility.js").read_text()
TRACES = re.compile(
    r"Traceback \(most recent call last\)|TemplateSyntaxError|VariableDoesNotExist|\{%|\{\{|%\([a-z_]+\)[sd]"
)


class Watched:
    """A page that remembers what its console and its scripts complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(15_000)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("requestfailed", lambda request: self._failed(request))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text}")

    def _failed(self, request: Any) -> None:
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"request: {request.url} {request.failure}")

    def open(self, path: str, *, status: int = 200) -> None:
        """Go to a path and wait for its scripts. Raises AssertionError for another status."""
        answer = self.page.goto(path, wait_until="load")
        assert answer is not None and answer.status == status, f"{path}: {answer and answer.status}"

    def sign_in(self, name: str, password: str) -> None:
        """Through the form, as people do."""
        self.open("/admin/login/?next=/admin/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", password)
        self.page.click("#login-form button[type=submit]")
        self.page.wait_for_url("**/admin/")

    def faults(self) -> list[str]:
        """Everything wrong with the page that is open: complaints, raw texts, accessibility."""
        text = self.page.evaluate("document.body.innerText")
        raw = [f"raw text: {match.group()}" for match in TRACES.finditer(text)]
        return [*self.complaints, *raw, *self.page.evaluate(SCRIPT)]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(
            self.page.evaluate(
                "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
            )
        )
