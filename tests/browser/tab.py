"""A page of the browser, and what went wrong in it."""

from typing import Final

from playwright.sync_api import Page, expect

WORKER: Final = "worker-1"
WAIT_MS: Final = 30_000
_VIOLATIONS: Final = """
addEventListener("securitypolicyviolation", (event) => { (window.violated ??= []).push(event.violatedDirective); });
"""
expect.set_options(timeout=WAIT_MS)


class Tab:
    """A page that notes errors of scripts and broken rules of the policy."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.add_init_script(_VIOLATIONS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, place: str) -> None:
        """A view, once it stands."""
        self.page.goto(f"{self.url}/#/{place}")
        self.page.locator("main h1").first.wait_for()

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violated ?? []")
        return found
