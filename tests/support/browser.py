"""A real headless Chromium for tests, with an eye on its console and on every request that it makes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
TRIES = 3
SECONDS_TO_LOAD = 60.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, kw_only=True)
class Browser:
    """A browser and the page that it shows."""

    driver: Chrome
    folder: Path

    def show(
        self, html: str, *, width: int = 1100, scheme: str = "light", media: str = "", script: bool = True
    ) -> None:
        """Load a page in a window of that width, with a color scheme, for a medium, with or without JavaScript."""
        path = self.folder / "page.html"
        path.write_text(html, encoding="utf-8")
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.tell("Emulation.setDeviceMetricsOverride", **screen)
        self.tell("Emulation.setEmulatedMedia", media=media, features=features)
        self.tell("Emulation.setScriptExecutionDisabled", value=not script)
        self.driver.get("about:blank")
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        self.load(path.as_uri())

    def load(self, address: str) -> None:
        """Load an address and wait until the page is complete: on a busy machine the driver may return before that."""
        from selenium.webdriver.support.wait import WebDriverWait

        self.driver.get(address)
        shown = "return document.readyState === 'complete' && location.href === arguments[0]"
        WebDriverWait(self.driver, SECONDS_TO_LOAD).until(lambda _: self.run(shown, address))

    def tell(self, command: str, **given: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(command, given)

    def run(self, script: str, *given: Any) -> Any:
        """Return the value of a script's `return`."""
        return self.driver.execute_script(script, *given)

    def find(self, selector: str) -> WebElement:
        """Return the first element of a CSS selector."""
        return self.driver.find_element("css selector", selector)

    def complaints(self) -> list[str]:
        """Return the console output since the page was loaded, including refused styles and scripts."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Return the addresses requested since the page was loaded, except its own."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [each["params"]["request"]["url"] for each in messages if each["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if address != (self.folder / "page.html").as_uri()]


@contextlib.contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile in a folder. Skip the test if this machine has none."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with its driver: as root, apt-get install chromium chromium-driver")
    # Selenium talks to the driver over HTTP, and would ask a proxy for the way to this machine.
    scrubbed = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with patch.dict(os.environ, scrubbed, clear=True):
        started = _start(binary, driver, folder)
    try:
        yield Browser(driver=started, folder=folder)
    finally:
        started.quit()


def _start(binary: str, driver: str, folder: Path) -> Chrome:
    """Start a browser; on a busy machine it may take more than one try."""
    from selenium import webdriver
    from selenium.common.exceptions import SessionNotCreatedException

    for left in reversed(range(TRIES)):
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for flag in (*FLAGS, f"--user-data-dir={folder / f'profile-{left}'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        try:
            return webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
        except SessionNotCreatedException as error:
            if "only supports" in str(error.msg):
                pytest.skip(f"Chromium and its driver do not belong together: {error.msg}")
            if not left:
                raise
    raise AssertionError("the last try returns or raises")
