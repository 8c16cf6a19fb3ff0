"""Draw docs/leaderboard.png, the README's picture, from site/index.html.

    python docs/screenshot.py

Needs Chromium, its driver (Debian: chromium, chromium-driver) and the test extra.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 1200, 900


def screenshot(page: Path, picture: Path) -> None:
    """Write the upper part of `page`, in the light colours, to `picture`."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for argument in (
            "headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
            "disable-background-networking", "disable-component-update", "disable-sync",
            "hide-scrollbars", "force-color-profile=srgb", f"user-data-dir={profile}",
        ):  # fmt: skip
            options.add_argument(f"--{argument}")
        driver = webdriver.chrome.service.Service(shutil.which("chromedriver"))
        browser = webdriver.Chrome(options=options, service=driver)
        try:
            browser.execute_cdp_cmd(
                "Emulation.setEmulatedMedia",
                {"features": [{"name": "prefers-color-scheme", "value": "light"}]},
            )
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False},
            )
            browser.get(page.resolve().as_uri())
            browser.save_screenshot(str(picture))
        finally:
            browser.quit()


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    index = root / "site/index.html"
    if not index.is_file():
        sys.exit(f"{index}: there is no such page; make it first: snakemake --cores 2")
    screenshot(index, root / "docs/leaderboard.png")
    print("docs/leaderboard.png")
