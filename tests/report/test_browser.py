"""report.html in a real browser: it loads, sorts, filters, opens runs by keyboard, and what strangers wrote stays text."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from gsx.report import build, html, report
from gsx.report.collect import collect
from gsx.report.table import Table
from tests.report import factory, trainings
from tests.report.browser import CHROMIUM, Browser
from tests.report.test_html import HOSTILE, hostile

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("study")
    factory.bench(folder / "outputs")
    hostile(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "MOST_FIGURES", 1)
        report([folder / "outputs"], folder / "report", html=True)
    return (folder / "report/report.html").as_uri()


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A report of trainings only, one of them torn."""
    folder = tmp_path_factory.mktemp("lessons")
    for estimator in ("arms", "rloo"):
        trainings.vae(folder / "outputs", estimator, -100.0, {estimator: 1.0}, seeds=(0,))
    torn = trainings.vae(folder / "outputs", "rebar", -100.0, {"rebar": 1.0}, seeds=(0,))
    (torn / "training.json").write_text("{")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "MOST_FIGURES", 0)
        report([folder / "outputs"], folder / "report", html=True)
    return (folder / "report/report.html").as_uri()


@pytest.fixture
def page(browser: Browser, study: str) -> Iterator[Browser]:
    """Freshly loaded; whatever a test does to it, nothing may go wrong and nothing may be asked for."""
    browser.open(study)
    yield browser
    browser.settle()
    assert browser.complaints == []
    assert [url.partition("#")[0] for url in browser.requests] == [study]


COLUMN = """(heading, rows = '#all tbody tr') => {
    const at = [...document.querySelectorAll('#all thead th')].findIndex((th) => th.textContent.trim() === heading);
    const shown = [...document.querySelectorAll(rows)].filter((row) => !row.hidden);
    return shown.map((row) => row.cells[at].dataset.v ?? row.cells[at].textContent.trim());
}"""


def column(page: Browser, heading: str) -> list[str]:
    return page.script(f"({COLUMN})({heading!r})")


def focus(page: Browser, selector: str) -> None:
    page.script(f"document.querySelector({selector!r}).focus()")


def test_it_loads_with_its_table_and_its_figure(page: Browser) -> None:
    assert page.script("document.querySelectorAll('#all tbody tr').length") == len(column(page, "estimator")) > 30
    box = page.script("(() => { const b = document.querySelector('figure svg').getBoundingClientRect(); return [b.width, b.height]; })()")
    assert min(box) > 100
    # The policy holds for what a script would add, and the figure's styles got through it.
    assert page.script("getComputedStyle(document.querySelector('figure svg [class^=s]')).fill") != ""
    assert page.script("document.styleSheets.length") == 1


def test_sorting_by_keyboard(page: Browser) -> None:
    before = column(page, "variance")
    focus(page, "#all thead th:nth-child(7) button")
    assert page.script("document.activeElement.textContent.trim()") == "variance"
    page.press("Enter")
    assert page.script("document.activeElement.closest('th').ariaSort") == "ascending"
    numbers = [float(v) for v in column(page, "variance") if v]
    assert numbers == sorted(numbers) and len(numbers) >= 30
    assert column(page, "variance")[-1] == ""  # what has no value is last
    page.press(" ")
    assert page.script("document.activeElement.closest('th').ariaSort") == "descending"
    numbers = [float(v) for v in column(page, "variance") if v]
    assert numbers == sorted(numbers, reverse=True)
    assert column(page, "variance")[-1] == ""
    assert page.script("document.querySelectorAll('[aria-sort]').length") == 1
    page.press("Enter")
    assert column(page, "variance") == before
    assert page.script("document.getElementById('said').textContent") == "in the order of the report"


def test_what_has_no_value_comes_last_both_ways(page: Browser) -> None:
    """The deterministic run in the middle of the table has no signal-to-noise ratio."""
    there = [text not in ("–", "") for text in column(page, "SNR")]
    assert there != sorted(there, reverse=True)
    for _ in range(2):
        page.script("document.querySelector('#all thead th:nth-child(9) button').click()")
        there = [text not in ("–", "") for text in column(page, "SNR")]
        assert there == sorted(there, reverse=True)


def test_filtering(page: Browser) -> None:
    total = len(column(page, "estimator"))
    focus(page, "#filter-runs [name=text]")
    page.type("st_gumbel τ=0.5")
    assert [label.split(",")[0] for label in column(page, "estimator")] == ["st_gumbel τ=0.5"]
    assert page.script("document.querySelector('#filter-runs output').textContent") == f"1 of {total} runs"
    page.script("document.querySelector('form button[type=reset]').click()")
    page.settle()
    assert len(column(page, "estimator")) == total
    page.script(
        "(s => { s.value = 'biased'; s.dispatchEvent(new Event('input', {bubbles: true})); })(document.querySelector('[data-key=verdict]'))"
    )
    biased = column(page, "verdict")
    assert 0 < len(biased) < total and all("biased" in text and "unbiased" not in text for text in biased)
    assert page.script("document.querySelector('.card[data-value=biased]').ariaPressed") == "true"
    focus(page, ".card[data-value=failed]")
    page.press(" ")
    assert column(page, "estimator") == []  # failed and biased: none
    focus(page, ".card[data-value=biased]")
    page.press("Enter")
    assert len(column(page, "estimator")) == 1 and "nonfinite temperature" in column(page, "notes")[0]


def test_a_run_opens_and_closes_by_keyboard(page: Browser) -> None:
    focus(page, "#all tbody tr:nth-child(2) a")
    label = page.script("document.activeElement.textContent")
    page.press("Enter")
    assert page.script("[document.activeElement.id, document.getElementById('main').hidden]") == ["run", True]
    assert page.script("document.querySelector('#run h1').textContent") == label and label in page.script("document.title")
    titles = page.script("[...document.querySelectorAll('#run h3')].map((h) => h.textContent)")
    assert {"Statistics", "Verdict on bias", "Parameters", "Reference", "Configuration", "Measure it again", "Draw it again"} <= set(titles)
    command = page.script("document.querySelector('#run code').textContent")
    assert command.startswith(("gsx run estimator=", "gsx report outputs/"))
    page.press("Tab")
    assert page.script("document.activeElement.textContent") == "All runs"
    assert page.script("getComputedStyle(document.activeElement).outlineStyle") == "solid"  # the focus is seen
    page.press("Enter")
    assert page.script("document.activeElement.textContent") == label and page.script("document.getElementById('run').hidden")


def test_a_training_opens_and_closes_by_keyboard_and_by_its_address(browser: Browser, lessons: str) -> None:
    browser.open(lessons)
    focus(browser, "#trainings tbody tr:nth-child(2) a")
    assert browser.script("document.activeElement.textContent") == "rloo"
    browser.press("Enter")
    assert browser.script("[document.activeElement.id, document.getElementById('main').hidden]") == ["run", True]
    assert browser.script("[document.querySelector('#run h1').textContent, document.title]") == ["rloo", "rloo, training of binary_vae"]
    titles = browser.script("[...document.querySelectorAll('#run h3')].map((h) => h.textContent)")
    assert {"Training", "Seeds", "Configuration", "Train it again", "Draw it again"} <= set(titles)
    address = browser.script("location.href")
    browser.press("Tab")
    assert browser.script("document.activeElement.textContent") == "All trainings"
    browser.press("Enter")
    assert browser.script("document.activeElement.textContent") == "rloo" and browser.script("document.getElementById('run').hidden")
    browser.open(address)
    assert browser.script("document.querySelector('#run h1').textContent") == "rloo"
    # From page to page: the torn one is last, and says so.
    browser.script("[...document.querySelectorAll('#run nav a')].find((a) => a.textContent === 'Next').click()")
    browser.settle()
    assert "unreadable" in browser.script("document.querySelector('#run .lead').textContent")
    assert browser.script("[...document.querySelectorAll('#run nav a')].map((a) => a.textContent)") == ["All trainings", "Previous"]
    assert browser.complaints == []


@pytest.mark.parametrize("part", ["runs", "figures"])
def test_a_part_opens_by_its_address(page: Browser, study: str, part: str) -> None:
    """What stands below the header is that part. (`chromium --screenshot` is blank for any page that is scrolled by its address.)"""
    page.open(f"{study}#{part}")
    page.settle()
    seen = page.script("document.elementFromPoint(100, document.querySelector('header').offsetHeight + 30).closest('section')?.id")
    assert seen == part and page.script("scrollY") > 100


def test_no_key_is_trapped(page: Browser) -> None:
    """Tab alone walks from the skip link through controls, headings and rows to the end."""
    page.script("document.querySelectorAll('#all tbody tr:nth-child(n+4)').forEach((row) => row.remove())")
    reachable = "[...document.querySelectorAll('a, button, select, input, summary, [tabindex=\"0\"]')]"
    wanted = page.script(f"{reachable}.filter((e) => e.offsetParent || e.classList.contains('skip')).length")
    page.script("window.seen = new Set(); document.addEventListener('focusin', (event) => seen.add(event.target))")
    for _ in range(wanted):
        page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    page.settle()
    assert page.script("seen.size") == wanted


def test_dark_and_light(page: Browser) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    focus(page, "#theme")
    light = page.script(ground)
    page.press("Enter")
    assert page.script(ground) != light and page.script("document.activeElement.ariaPressed") == "true"
    page.press("Enter")
    assert page.script(ground) == light
    page.script("localStorage.clear(); delete document.documentElement.dataset.theme")
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert page.script(ground) != light
    contrast = page.script(CONTRAST)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert min(contrast + page.script(CONTRAST)) >= 4.5


#: Of every pair of text and ground that the style sheet has.
CONTRAST = """(() => {
    const style = getComputedStyle(document.documentElement);
    const light = (name) => {
        const parts = style.getPropertyValue(name).trim().slice(1).match(/../g).map((hex) => parseInt(hex, 16) / 255);
        const [r, g, b] = parts.map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const pairs = ['text', 'quiet', 'accent'].flatMap((text) => ['ground', 'panel', 'raised'].map((ground) => [text, ground]));
    pairs.push(...['good', 'bad', 'warn', 'calm'].map((tone) => [tone, `${tone}-ground`]));
    return pairs.map((pair) => pair.map((name) => light(`--${name}`) + 0.05)).map((pair) => Math.max(...pair) / Math.min(...pair));
})()"""


def test_narrow_and_printed(page: Browser) -> None:
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=1, mobile=True)
    assert page.script("document.documentElement.scrollWidth") <= 360
    page.call("Emulation.clearDeviceMetricsOverride")
    page.call("Emulation.setEmulatedMedia", media="print")
    assert page.script("getComputedStyle(document.querySelector('.filters')).display") == "none"
    assert page.script("getComputedStyle(document.querySelector('.tall')).overflowY") == "visible"
    page.call("Emulation.setEmulatedMedia", media="")


def test_a_name_breaks_only_where_it_is_wider_than_its_column_may_be(browser: Browser, tmp_path: Path) -> None:
    body = [[name, "many words " * 30, "measured"] for name in ("structured_output_training", "x" * 200)]
    table = Table("scoreboard", "Findings", ["experiment", "finding", "verdict"], body, pd.DataFrame(), ["how many"], 3)
    file = tmp_path / "report.html"
    file.write_text(html.page([], {}, [table], [], [], [], []), encoding="utf-8")
    browser.open(file.as_uri())
    lines = """[...document.querySelectorAll('#rows-scoreboard tbody td:first-child')].map((cell) => {
        const text = document.createRange();
        text.selectNodeContents(cell);
        return [text.getClientRects().length, cell.offsetWidth];
    })"""
    (one, _), (several, width) = browser.script(lines)
    assert one == 1 and several > 1 and width <= 256


def test_hostile_names_stay_text(page: Browser) -> None:
    elements = "[...document.querySelectorAll('img, iframe, object, script')].length"
    assert page.script(elements) == 2
    rows = [label for label in column(page, "estimator") if "<img src=x" in label]
    assert len(rows) == 1 and "{{7*7}}" in rows[0] and "alert(1)" in rows[0]
    page.script("[...document.querySelectorAll('#all tbody a')].find((a) => a.textContent.includes('<img')).click()")
    page.settle()
    text = page.script("document.getElementById('run').textContent")
    assert text.count("<img src=x onerror=alert(1)>") >= 4 and "javascript:alert(1)" in text
    assert page.script(elements) == 2 and page.script("document.querySelectorAll('#run a[href^=javascript]').length") == 0


def test_the_policy_stops_what_would_run(browser: Browser, study: str) -> None:
    """The second wall: were a name let through as markup, it would not act. And the browser's complaints are heard."""
    browser.open(study)
    browser.script(f"document.getElementById('run').innerHTML = {'<img src=x onerror=alert(1)>' + HOSTILE!r}")
    browser.script("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'}))")
    browser.settle()
    assert browser.script("window.ran ?? 0") == 0
    assert any("Content Security Policy" in text for text in browser.complaints)
    assert not [text for text in browser.complaints if text.startswith("dialog")]


def test_without_scripts_tables_and_figures_are_there(browser: Browser, study: str) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(study)
    document = browser.call("DOM.getDocument")["root"]["nodeId"]

    def size(selector: str) -> float:
        node = browser.call("DOM.querySelector", nodeId=document, selector=selector)["nodeId"]
        return browser.call("DOM.getBoxModel", nodeId=node)["model"]["height"]

    assert size("#all") > 500 and size("figure svg") > 100 and size("noscript") > 10
    browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_five_hundred_runs(browser: Browser, tmp_path: Path) -> None:
    factory.make(tmp_path / "outputs", "concrete", settings={"temperature": 1.0})
    ((group,), _, _) = collect([tmp_path])
    (cell,) = group.cells
    assert cell.result is not None
    config = cell.result.config | {"model": {"name": "bernoulli_toy", "logits": [0.1] * 50}}
    summaries = [cell.result.summary | {"variance": factory.interval(0.001 * (i * 7 % 500), 0.01)} for i in range(500)]
    results = [dataclasses.replace(cell.result, config=config, summary=summary) for summary in summaries]
    cells = [dataclasses.replace(cell, name=f"default/run-{i}", label=f"concrete {i}", result=result) for i, result in enumerate(results)]
    file = tmp_path / "report.html"
    file.write_text(html.page([(group.label, each) for each in cells], {"complete": 500}, [], [], [], [], []), encoding="utf-8")
    assert file.stat().st_size < 5e6
    browser.open("about:blank")
    before = busy(browser)
    browser.open(file.as_uri())
    assert 0 < busy(browser) - before < 3
    before = busy(browser)
    browser.script("document.querySelector('#all thead th:nth-child(7) button').click(); document.body.offsetHeight")
    assert busy(browser) - before < 1
    numbers = [float(value) for value in column(browser, "variance")]
    assert len(numbers) == 500 and numbers == sorted(numbers)
    assert browser.complaints == []


def board(verdicts: list[str]) -> str:
    """A page with a scoreboard of a row for each verdict; the larger number is the shorter text."""
    measured = [10.0 ** (i % 5 - 2) * (i + 1) for i in range(len(verdicts))]
    body = [
        [f"study {i % 2}", f"finding {i}", f"arms / rloo = {number:g} [0, 1e9]", word]
        for i, (number, word) in enumerate(zip(measured, verdicts, strict=True))
    ]
    headings = ["experiment", "finding", "measured", "verdict"]
    notes = ["how", "to", "judge", "3 findings: as told."]
    table = Table("scoreboard", "Findings", headings, body, pd.DataFrame(), notes, 2, ("experiment", "verdict"), {"measured": measured})
    return html.page([], {}, [table], [], [], [], [])


def test_findings_are_counted_filtered_and_sorted_by_number(browser: Browser, tmp_path: Path) -> None:
    verdicts = ["reproduced"] * 9 + ["not reproduced"] * 3 + ["inconclusive (no interval)"] * 2
    file = tmp_path / "report.html"
    file.write_text(board(verdicts), encoding="utf-8")
    browser.open(file.as_uri())

    def shown(heading: str) -> list[str]:
        return browser.script(f"({COLUMN.replace('#all', '#rows-scoreboard')})({heading!r}, '#rows-scoreboard tbody tr')")

    cards = browser.script("[...document.querySelectorAll('#findings button.card')].map((c) => c.textContent.replace(/\\s+/g, ' ').trim())")
    assert cards == ["9✓ reproduced", "3✗ not reproduced", "2? inconclusive"]
    focus(browser, "#findings .card[data-value=inconclusive]")
    assert "without an interval" in browser.script("document.activeElement.title")  # what it means of a finding, not of a run
    browser.press("Enter")
    assert shown("finding") == ["finding 12", "finding 13"] and "(no interval)" in shown("verdict")[0]
    assert browser.script("document.querySelector('#filter-scoreboard output').textContent") == "2 of 14 rows"
    focus(browser, "#filter-scoreboard [data-key=c0]")
    browser.script("(s => { s.value = 'study 1'; s.dispatchEvent(new Event('input', {bubbles: true})); })(document.activeElement)")
    assert shown("finding") == ["finding 13"]
    focus(browser, "#filter-scoreboard [type=reset]")
    browser.press("Enter")
    focus(browser, "#rows-scoreboard thead th:nth-child(3) button")
    browser.press("Enter")
    numbers = [float(text) for text in shown("measured")]
    assert len(numbers) == 14 and numbers == sorted(numbers) != sorted(numbers, key=str)
    assert browser.script("document.querySelector('#findings details').open") is False
    focus(browser, "#findings summary")
    assert browser.script("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("Enter")
    assert browser.script("document.querySelector('#findings details').open") is True
    assert browser.complaints == []


def test_few_findings_are_counted_without_buttons(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(board(["reproduced", "not reproduced"]), encoding="utf-8")
    browser.open(file.as_uri())
    count = "(what) => document.querySelectorAll(`#findings ${what}`).length"
    assert [browser.script(f"({count})({what!r})") for what in ("div.card", "button.card", "form")] == [2, 0, 0]
    assert browser.complaints == []


def test_a_figure_changes_to_the_dark(browser: Browser, study: str) -> None:
    browser.open(study)
    style = "getComputedStyle(document.querySelector"
    told = f"[{style}('.paper > svg')).filter, {style}('.paper')).backgroundColor]"
    browser.script("document.documentElement.dataset.theme = 'light'")
    assert browser.script(told) == ["none", "rgb(255, 255, 255)"]
    browser.script("document.documentElement.dataset.theme = 'dark'")
    assert browser.script(told) == ["invert(0.91) hue-rotate(180deg)", "rgb(23, 23, 23)"]


def test_the_curves_of_a_training_are_drawn(browser: Browser, lessons: str) -> None:
    browser.open(lessons)
    browser.script("document.querySelector('#trainings tbody a').click()")
    browser.settle()
    assert browser.script("document.querySelectorAll('#run svg.curves').length") == 2
    inside = """[...document.querySelectorAll('#run svg.curves')].every((svg) => {
        const [outer, lines] = [svg.getBoundingClientRect(), [...svg.querySelectorAll('path, text')].map((p) => p.getBoundingClientRect())];
        return lines.length >= 5 && lines.every((b) => b.width > 0 && b.left >= outer.left - 1 && b.right <= outer.right + 1
            && b.top >= outer.top - 1 && b.bottom <= outer.bottom + 1);
    })"""
    assert browser.script(inside) is True
    assert browser.complaints == []


def busy(browser: Browser) -> float:
    """Processor seconds of the page's thread: what a loaded machine does not change much."""
    return next(metric["value"] for metric in browser.call("Performance.getMetrics")["metrics"] if metric["name"] == "ThreadTime")
