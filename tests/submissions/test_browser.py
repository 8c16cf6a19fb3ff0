"""The pages of submissions and of the history in a browser."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from tests.leaderboard.accessibility import graves
from tests.leaderboard.conftest import axe, browser  # noqa: F401
from tests.leaderboard.test_browser import check_quiet, width_on_a_phone
from wsa.layout import Layout
from wsa.leaderboard import render
from wsa.submissions.admit import admit
from wsa.suite.load import load_suite


@pytest.fixture(scope="module")
def site(clones, archives, tmp_path_factory):
    folder, here = tmp_path_factory.mktemp("site"), clones["here"]
    layout = Layout(here.config, here.resources, here.results, folder / "site", folder / "admitted")
    for archive in archives.values():
        admit(archive, layout, "the test", 0)
    render([load_suite("tiny", layout.config)], layout)
    return layout


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", ["submissions_page", "history_page"])
def test_both_pages_are_accessible_quiet_and_fit_a_phone(browser, axe, site, page, scheme):  # noqa: F811
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    url = getattr(site, page).resolve().as_uri()
    assert width_on_a_phone(browser, url) <= 360
    check_quiet(browser)
    assert not graves(browser, axe, contrast=True if scheme == "dark" else None)


def test_the_table_is_filtered_by_who_and_what_was_checked(browser, site):  # noqa: F811
    browser.get(site.submissions_page.resolve().as_uri())
    controls = browser.find_element(By.CSS_SELECTOR, ".controls[data-for=measured-1]")

    def shown() -> list[str]:
        rows = browser.find_elements(By.CSS_SELECTOR, "#measured-1 tbody tr")
        return [row.get_attribute("data-who") for row in rows if row.is_displayed()]

    assert set(shown()) == {"this project", "Ada Lovelace", "Bob"}
    Select(controls.find_element(By.NAME, "who")).select_by_value("Bob")
    assert set(shown()) == {"Bob"} and len(shown()) == 3
    Select(controls.find_element(By.NAME, "who")).select_by_value("")
    Select(controls.find_element(By.NAME, "checked")).select_by_value("measured here")
    assert set(shown()) == {"this project"}
