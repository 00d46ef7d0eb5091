"""Take the pictures of the README from a running system: `.venv/bin/python docs/screenshots.py`.

Start `make up` first, with its demo company. BASE_URL or PORT, DATA_DIR and ADMIN_PASSWORD are read from the
environment as everywhere. Needs the packages of `make test` and a Chromium.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

HERE = Path(__file__).resolve().parent
TARGET = HERE / "images"
BASE_URL = os.environ.get("BASE_URL") or f"http://localhost:{os.environ.get('PORT') or 8000}"
DATA_DIR = Path(os.environ.get("DATA_DIR") or HERE.parent / ".data")
WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
LANGUAGES = {"en": "", "zh-hans": ".zh-hans"}


def main() -> int:
    """Take every picture in both languages. Returns the exit code."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.stderr.write("screenshots: no Chromium on this machine\n")
        return 1
    password = os.environ.get("ADMIN_PASSWORD") or (DATA_DIR / "admin_password").read_text().strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for language, suffix in LANGUAGES.items():
            take(browser, language=language, suffix=suffix, password=password)
        browser.close()
    return 0


def take(browser: Browser, *, language: str, suffix: str, password: str) -> None:
    """The pictures of one language: wide ones, then those of a phone."""
    context = browser.new_context(
        base_url=BASE_URL,
        viewport=WIDE,
        locale="zh-CN" if language == "zh-hans" else "en-GB",
        reduced_motion="reduce",
    )
    context.add_cookies([{"name": "django_language", "value": language, "url": BASE_URL}])
    page = context.new_page()
    page.goto("/admin/login/?next=/admin/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.click("#login-form button[type=submit]")
    page.wait_for_url("**/admin/")
    places = {
        "home": "/admin/",
        "release": first_row(page, "/admin/voc/release/"),
        "told": first_row(page, "/admin/voc/release/?status__exact=shipped"),
        "customer": first_row(page, "/admin/crm/profile/"),
        "changelog": "/changelog/",
    }
    for name, address in places.items():
        page.goto(address)
        keep(page, f"{name}{suffix}")
    page.set_viewport_size(PHONE)
    for name in ("home", "customer", "changelog"):
        page.goto(places[name])
        keep(page, f"{name}.phone{suffix}")
    context.close()


def first_row(page: Page, address: str) -> str:
    """Where the first line of a staff list leads to."""
    page.goto(address)
    link = page.locator("#result_list tbody tr a").first.get_attribute("href")
    if not link:
        raise SystemExit(f"screenshots: nothing on {address}; start with the demo company")
    return link.partition("?")[0]


def keep(page: Page, name: str) -> None:
    """Write one picture."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=TARGET / f"{name}.png")
    sys.stdout.write(f"{TARGET / name}.png\n")


if __name__ == "__main__":
    sys.exit(main())
