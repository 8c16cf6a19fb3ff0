r"""Draw docs/leaderboard.png, the README's picture, from site/index.html.

    wsa --results published site minilm-l6_films minilm-l6_zoo minilm-l6_budget_films \
        minilm-l6_sst2 minilm-l6_ablations
    python docs/screenshot.py

The page from its headline to the end of its leaderboard, in the light colours. Needs Chromium,
its driver (Debian: chromium, chromium-driver) and the test extra.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
from pathlib import Path

WIDTH = 1200


def screenshot(page: Path, picture: Path) -> None:
    """Write `page`, down to the end of its leaderboard, to `picture`."""
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
                {"width": WIDTH, "height": 900, "deviceScaleFactor": 1, "mobile": False},
            )
            browser.get(page.resolve().as_uri())
            end = browser.execute_script(
                "return document.querySelector('.leaderboard').getBoundingClientRect().bottom"
            )
            clip = {"x": 0, "y": 0, "width": WIDTH, "height": end + 20, "scale": 1}
            drawn = browser.execute_cdp_cmd(
                "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
            )
            picture.write_bytes(base64.b64decode(drawn["data"]))
        finally:
            browser.quit()


if __name__ == "__main__":
    root = Path(__file__).parents[1]
    index = root / "site/index.html"
    if not index.is_file():
        sys.exit(f"{index}: there is no such page; the head of {__file__} says how to make it")
    screenshot(index, root / "docs/leaderboard.png")
    print("docs/leaderboard.png")
