"""Headless Chromium, driven by selenium.

python -m tests.support.browser      install Chromium and its driver where they are not there yet, print them
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tests.support.toolchains import Missing, locked

#: Debian's packages, and the programs of each; Ubuntu has Chromium as a snap alone, which is installed by hand.
PACKAGES = {
    "chromium": ("chromium", "chromium-browser", "google-chrome"),
    "chromium-driver": ("chromedriver", "chromium.chromedriver"),
}
#: Collects what the page's policy forbids, from before its first element on.
WATCH = """
window.forbidden = [];
document.addEventListener("securitypolicyviolation", (event) => {
  window.forbidden.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""


@functools.cache
def find() -> tuple[Path, Path]:
    """(Chromium, its driver) of one version: on PATH, or installed where this is root's. Raises Missing."""
    with locked("chromium"):
        found = _on_path()
        if found is None:
            _install()
            found = _on_path()
    if found is None:
        raise Missing(f"no Chromium with its driver on PATH: apt install {' '.join(PACKAGES)}")
    return found


def _on_path() -> tuple[Path, Path] | None:
    browsers, drivers = ([Path(path) for path in map(shutil.which, those) if path] for those in PACKAGES.values())
    return next(((one, driver) for driver in drivers for one in browsers if _version(one) == _version(driver)), None)


@functools.cache
def _version(program: Path) -> str:
    run = subprocess.run([str(program), "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    found = re.search(r"(\d+)\.\d+\.\d+", run.stdout)
    return found[1] if found is not None else run.stderr


def _install() -> None:
    wanted = " ".join(PACKAGES)
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise Missing(f"no Chromium with its driver on PATH, and only root can install them: apt install {wanted}")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (install, ["apt-get", "update", "-q"], install):  # a new machine may have no package lists yet
        run = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if run.returncode == 0 and command is install:
            return
    why = (run.stderr.strip().splitlines() or ["no word"])[-1]
    raise Missing(f"Chromium could not be installed ({why}): apt install {wanted}")


class Browser:
    """One browser. It has no sandbox of its own, which root can't have, and opens files of the tests alone."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = 1280, scheme: str = "light") -> None:
        """Loads a file and waits until it is loaded."""
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        self.driver.get("about:blank")  # the fragment of an address alone would not load it again
        self.driver.get(page.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        """What a function of this body returns in the page."""
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """What the page's policy forbade, and what the console has said since this was asked last."""
        said = [f"{one['level']}: {one['message']}" for one in self.driver.get_log("browser")]
        return [*self.run("return window.forbidden"), *said]

    def seconds(self) -> float:
        """Processor time of the page's main thread since it was opened."""
        metrics = self.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A browser, until the end. Raises Missing."""
    chromium, driver = find()
    options = Options()
    options.binary_location = str(chromium)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(str(driver)))
    try:
        found.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        found.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
        yield Browser(found)
    finally:
        found.quit()


if __name__ == "__main__":
    print(*find(), sep="\n")
