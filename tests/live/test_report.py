"""hmap-report: what the page says is what other commands say, and what a browser makes of it."""

from __future__ import annotations

import json
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from gomap import human
from tests.live.test_hostile import SHOWN
from tests.support import browser, debuggers, delves, directly, pages, toolchains
from tests.support.browser import Browser
from tests.support.debuggers import Gdb, Session
from tests.support.delves import Dlv
from tests.support.matrix import needed
from tests.support.toolchains import Row

#: One worker has the page and the browser.
pytestmark = pytest.mark.xdist_group("report")
#: gdb's Python finds jinja2 and plotly where the test tools are, which are of the same version of Python.
PACKAGES = f"python import sys; sys.path.append({sysconfig.get_path('purelib')!r})"
GROUPS = ("package", "type", "owner")
TOP = "hmap-top -n 0 --json"
#: The program's texts that would do something in a page.
MARKUP = ("</script><script>owned()</script><!--", "<img src=x onerror=owned()>")


@pytest.fixture(scope="module")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    with needed(request.config):
        browser.find()
    with browser.opened() as found:
        yield found


def report(file: Path) -> str:
    return f"hmap-report {file} -n 60 --entries 40 --map main.Keep.Tagged --map main.More.Synced --json"


@pytest.fixture(scope="module")
def hostile(system_gdb: Gdb, system_go: Row, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Session]:
    """The page of the program with hostile texts, from gdb, and what other commands said at the same stop."""
    file = tmp_path_factory.mktemp("report") / "page.html"
    commands = (PACKAGES, report(file), f"hmap-report {file}", TOP, *(f"{TOP} --group {by}" for by in GROUPS))
    binary = toolchains.build("hostile", system_go, optimised=False)
    return file, debuggers.visit(system_gdb, binary, {"filled": commands})


def check(page: pages.Page, said: dict[str, Any], truth: dict[str, Any]) -> None:
    """What a page has whose maps are those of main.Keep: all of them, as the program counts them, and no markup."""
    assert page.odd == set()
    assert {link for link in page.links if not link.startswith("#")} == set()
    assert len(page.scripts) == 3 and re.fullmatch(
        r"default-src 'none'; script-src( 'sha256-[\w+/=]{44}'){2}; style-src( 'sha256-[\w+/=]{44}'){2}; "
        r"base-uri 'none'; form-action 'none'",
        page.policy,
    )
    found = pages.rows(page)
    assert len(found) == said["maps"]
    for expr, one in truth["maps"].items():
        if expr.startswith("main."):
            assert (found[one["address"]]["path"], found[one["address"]]["count"]) == (expr, one["len"])
    assert {part["error"] for part in said["parts"]} == {None}
    text, table = page.texts[""], json.dumps(page.data, ensure_ascii=False)
    assert text.isprintable() or {c for c in text if not c.isprintable()} == {"\n"}
    for shown in (*SHOWN, *MARKUP):
        assert shown in text or shown.replace("\\", "\\\\") in text, shown
        assert shown[:4] in table or json.dumps(shown)[1:5] in table, shown
    assert "owned()" in found[truth["maps"]["main.Keep.Tagged"]["address"]]["type"]


def test_the_page_says_what_other_commands_say(hostile: tuple[Path, Session]) -> None:
    file, asked = hostile
    said, page = asked.at("filled", report(file)).json()["data"], pages.read(file)
    check(page, said, asked.truth["filled"])
    assert said["size"] == file.stat().st_size
    assert (
        asked.at("filled", f"hmap-report {file}").error
        == f"hmap-report: {file} exists already: --overwrite replaces it"
    )
    top, found = asked.at("filled", TOP).json()["data"]["maps"], pages.rows(page)
    assert {one["address"]: (one["bytes"]["allocated"], one["bytes"]["waste"], one["count"]) for one in top} == {
        address: (row["held"], row["waste"], row["count"]) for address, row in found.items()
    }
    for by in GROUPS:
        groups = asked.at("filled", f"{TOP} --group {by}").json()["data"]["groups"]
        none = {"type": "type unknown"}.get(by, "no variable")
        wanted = [
            [human.visible(human.spelled(one["key"])) if one["key"] else none, one["bytes"]["allocated"], one["maps"]]
            for one in groups
        ]
        shown = page.data["groups"][by]
        assert sorted([name, held, maps] for name, held, _, maps, _, _ in shown["groups"]) == sorted(wanted)
        for name, held, *_, parts in shown["groups"]:
            of = [row for row in found.values() if row[by] == name]
            assert sum(row["held"] for row in of) == held
            assert {part[0] for part in parts} <= {row[shown["part"]] for row in of}
    described = {f"#map-{address[2:]}" for address in said["described"]}
    assert len(described) == len(said["described"]) > 10


def test_every_front_door(dlv: Dlv, system_go: Row, tmp_path: Path) -> None:
    binary = toolchains.build("hostile", system_go, optimised=False)
    file = tmp_path / "delve.html"
    found = delves.visit(dlv, binary, {"filled": [report(file)]})
    check(pages.read(file), found.at("filled", report(file)).json()["data"], found.truth["filled"])
    file = tmp_path / "core.html"
    asked = directly.examine(debuggers.make_core(binary, "filled"), [report(file)])
    check(pages.read(file), asked.at("filled", report(file)).json()["data"], asked.truth["filled"])


def table(chromium: Browser, column: int) -> list[str]:
    return list(
        chromium.run(
            "return [...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[arguments[0]].innerText)",
            column,
        )
    )


def test_a_browser(chromium: Browser, hostile: tuple[Path, Session]) -> None:
    """Sorts, filters, expands, draws, in light and dark and on a small screen; and nothing of the program runs."""
    file, asked = hostile
    top = asked.at("filled", TOP).json()["data"]["maps"]
    held, driver = sorted((one["bytes"]["allocated"] for one in top), reverse=True), chromium.driver
    for width, scheme in ((400, "dark"), (400, "light"), (1280, "dark"), (1280, "light")):
        chromium.open(file, width, scheme)
        assert chromium.complaints() == []
        assert chromium.run("return document.documentElement.scrollWidth") == width
        drawn = "return document.querySelectorAll('#chart .slice').length"
        assert chromium.run(drawn) > 5
        paper, ink = chromium.run("const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]")
        bright = [sum(map(int, re.findall(r"\d+", color)[:3])) for color in (paper, ink)]
        assert (bright[0] < 150 < 500 < bright[1]) == (scheme == "dark") and abs(bright[0] - bright[1]) > 400
    assert chromium.run("return [typeof owned, performance.getEntriesByType('resource').length]") == ["undefined", 0]
    assert (
        chromium.run("return document.querySelectorAll('#table img, #table script, #chart img, #chart a').length") == 0
    )

    # All maps, the largest first; then by entries, and by path.
    assert table(chromium, 0) == [human.size(one) for one in held[:50]]
    heading = driver.find_element(By.CSS_SELECTOR, "#table th[data-column=count] button")
    heading.send_keys(Keys.ENTER)
    assert table(chromium, 2) == [f"{n:,}" for n in sorted((one["count"] for one in top), reverse=True)[:50]]
    heading.send_keys(Keys.ENTER)
    assert table(chromium, 2) == [f"{n:,}" for n in sorted(one["count"] for one in top)[:50]]
    assert chromium.run("return document.querySelector('#table th[data-column=count]').ariaSort") == "ascending"
    driver.find_element(By.CSS_SELECTOR, "#table th[data-column=path] button").click()
    paths = sorted(row["path"] for row in pages.rows(pages.read(file)).values() if row["path"])
    assert [text.split("\n")[0] for text in table(chromium, 4)][: len(paths)] == paths[:50]

    words = driver.find_element(By.ID, "words")
    words.send_keys("MAIN.MORE.own onerror")
    assert len(table(chromium, 0)) == 1 and MARKUP[1] in table(chromium, 4)[0]
    assert chromium.run("return document.getElementById('count').textContent").startswith(f"1 of {len(top):,} maps, ")
    words.clear()
    words.send_keys("nothing has this")
    assert table(chromium, 0) == []
    assert chromium.run("return document.getElementById('count').textContent") == "No map matches the filter."
    words.clear()
    words.send_keys(" ")

    # A group's maps, by keyboard, and all of them again.
    driver.find_element(By.CSS_SELECTOR, "[data-by=owner]").send_keys(Keys.ENTER)
    button = next(one for one in driver.find_elements(By.CSS_SELECTOR, "#groups button") if one.text == "main.More")
    button.send_keys(Keys.ENTER)
    more = [one for one in top if one["path"].startswith("main.More")]
    assert len(table(chromium, 0)) == len(more) and chromium.run("return document.activeElement.id") == "clear"
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert len(table(chromium, 0)) == min(len(top), 50)

    # plotly.js would take tags in its labels for formatting.
    driver.find_element(By.CSS_SELECTOR, "[data-by=type]").click()
    labels = chromium.run("return document.getElementById('chart').data[0].labels")
    assert any("owned()" in label for label in labels) and not any("<" in label for label in labels)

    # A row leads to its part, which opens.
    address = asked.truth["filled"]["maps"]["main.Keep.Keys"]["address"]
    words.send_keys(address)
    driver.find_element(By.CSS_SELECTOR, "#table tbody a").click()
    part = driver.find_element(By.ID, f"map-{address[2:]}")
    assert part.get_attribute("open") and all(text in part.text for text in MARKUP)
    driver.find_element(By.CSS_SELECTOR, "#advice summary, #shared summary").send_keys(Keys.ENTER)
    assert chromium.complaints() == [] and chromium.run("return typeof owned") == "undefined"


def test_100_000_maps(chromium: Browser, hostile: tuple[Path, Session], tmp_path: Path) -> None:
    """The page is there after less than three seconds of one processor, and so is each sorted and filtered table."""
    file, _ = hostile
    text, page = file.read_text(encoding="utf-8"), pages.read(file)
    maps, number = page.data["maps"], 100_000
    for name, column in maps.items():
        if name not in ("texts", "corrupt"):
            maps[name] = (column * (number // len(column) + 1))[:number]
    maps["path"] = [f'main.Users[{i}].Profile.Settings["{path}"]' for i, path in enumerate(maps["path"])]
    maps["address"] = [f"{0xC000000000 + 48 * i:x}" for i in range(number)]
    from gomap.pages.page import in_script

    many = tmp_path / "many.html"
    many.write_text(text.replace(page.scripts[0], in_script({**page.data, "maps": maps})), encoding="utf-8")
    assert many.stat().st_size > 12 << 20
    chromium.open(many)
    assert chromium.complaints() == [] and len(table(chromium, 0)) == 50
    assert chromium.seconds() < 3
    driver = chromium.driver
    driver.find_element(By.CSS_SELECTOR, "#pager [data-go=last]").click()
    assert chromium.run("return document.getElementById('place').textContent") == "99,951–100,000 of 100,000"
    driver.find_element(By.CSS_SELECTOR, "#table th[data-column=path] button").click()
    driver.find_element(By.ID, "words").send_keys("users[77777]")
    assert [one.split("[")[1] for one in table(chromium, 4)] == ["77777]"[:6] + ".Profile.Settings"]
    assert chromium.seconds() < 6
