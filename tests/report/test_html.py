"""report.html as text: what it shows, what it lets through, and the command that measures a run again. The browser's view: test_browser."""

import base64
import hashlib
import html.parser
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from gsx.cli.cell import plan
from gsx.cli.compose import composing
from gsx.records import Interval, Layout
from gsx.report import build, looks, optimum, report, rerun
from gsx.report.canvas import GREY
from gsx.report.html import bars, page, svg
from gsx.report.html.page import _asset, _json
from gsx.report.html.shown import numeric_columns, order
from gsx.report.table import Table
from tests.report import factory

HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{7*7}}\u2028\x1b[2J<!--"


class Outline(html.parser.HTMLParser):
    """The elements of a page as a browser's parser sees them, and the text outside script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.inside = "", ""
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside in self.raw:
            self.raw[self.inside].append(data)
        else:
            self.text += data


def made(tmp_path: Path) -> str:
    report([tmp_path / "outputs"], tmp_path / "report", html=True)
    return (tmp_path / "report/report.html").read_text()


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_FIGURES", 0)


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "MOST_FIGURES", 1)


@pytest.mark.usefixtures("undrawn")
def test_every_run_is_a_row_whatever_its_state(tmp_path: Path) -> None:
    factory.bench(tmp_path / "outputs")
    seen = Outline(made(tmp_path))
    states = [attributes["data-state"] for tag, attributes in seen.tags if tag == "tr" and "data-state" in attributes]
    assert len(states) == len(list(tmp_path.glob("outputs/*/*")))
    assert (states.count("partial"), states.count("failed"), states.count("unreadable")) == (1, 1, 1)
    assert "nonfinite temperature" in seen.text and "2048 of 2048 replicates" in seen.text
    # Every row's page is there, and says at least what the row says.
    runs = json.loads(seen.raw["script"][-1])
    links = [attributes["href"] for tag, attributes in seen.tags if tag == "a" and str(attributes.get("href")).startswith("#run-")]
    assert [f"#{name}" for name in runs] == links


def test_the_policy_vouches_for_what_is_there_and_for_nothing_else(tmp_path: Path, one_figure: None) -> None:
    factory.make(tmp_path / "outputs")
    text = made(tmp_path)
    seen = Outline(text)
    (policy,) = [a["content"] or "" for _, a in seen.tags if a.get("http-equiv") == "Content-Security-Policy"]
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for part in (seen.raw["style"][0], seen.raw["script"][0])]
    assert all(f"'sha256-{value}'" in policy for value in hashes)
    assert "unsafe" not in policy and "http" not in policy and policy.startswith("default-src 'none'")
    attributes = {name for _, given in seen.tags for name in given}
    assert "style" not in attributes and not any(name.startswith("on") for name in attributes)
    loaded = [given[name] or "" for _, given in seen.tags for name in ("src", "href", "xlink:href") if name in given]
    assert all(re.match(r"#|tables/|figures/", value) for value in loaded)
    assert len(seen.raw["style"]) == 1 and len(seen.raw["script"]) == 2


def test_ids_are_unique_and_every_reference_to_one_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for samples in (2, 4):
        factory.make(tmp_path / "outputs", "rloo", samples=samples, variance=0.01 / samples)
    monkeypatch.setattr(build, "MOST_FIGURES", 2)
    text = made(tmp_path)
    assert text.count("<svg") > 2
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) | set(re.findall(r'<use [^>]*href="#([^"]+)', text)) <= set(ids)


def test_same_results_same_page(tmp_path: Path, one_figure: None) -> None:
    for root in ("a", "elsewhere"):
        factory.make(tmp_path / root / "outputs", "concrete")
        factory.make(tmp_path / root / "outputs", "rloo", samples=2)
    first = made(tmp_path / "a")
    assert first == made(tmp_path / "elsewhere") and str(tmp_path) not in first


@pytest.mark.usefixtures("undrawn")
def test_hostile_names_are_text(tmp_path: Path) -> None:
    hostile(tmp_path)
    text = made(tmp_path)
    seen = Outline(text)
    assert not [tag for tag, _ in seen.tags if tag == "img"] and seen.text.count("<img src=x") > 1
    assert "49" not in re.findall(r"<td>([^<]*)", text)
    assert "\x1b" not in text and "\u2028" not in text
    runs = json.loads(seen.raw["script"][-1])
    (run,) = runs.values()
    assert run["title"].startswith("</script><img src=x")
    told = {section["title"]: section for section in run["sections"]}
    assert "No command says" in told["Measure it again"]["text"]
    assert "secret" not in json.dumps(runs), "provenance outside the allow-list is shown"
    # and a page that did not escape would be seen:
    assert any(tag == "img" for tag, _ in Outline(f"<td>{HOSTILE}</td>").tags)


def hostile(root: Path) -> None:
    factory.make(
        root / "outputs",
        HOSTILE,
        model=HOSTILE,
        settings={"note": HOSTILE, "url": "javascript:alert(1)"},
        layout=Layout((HOSTILE,), ((3,),)),
        provenance={"torch": HOSTILE, "command": HOSTILE, "environment": {"TOKEN": "secret"}},
        folder="hostile",
    )


def test_json_in_a_script_ends_no_script() -> None:
    data = {"name": HOSTILE, "&": ["<!--", "]]>"]}
    text = str(_json(data))
    assert not set(text) & set("<>&\u2028") and text.isascii() and json.loads(text) == data


# --------------------------------------------------------------------------------------------------------------------- drawings


def test_a_drawing_keeps_its_lines_and_nothing_that_acts() -> None:
    sheet = svg.Sheet()
    source = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><!-- </svg><script> -->
      <metadata>x</metadata><style>*{fill:url(http://x)}</style><script>alert(1)</script><foreignObject><p/></foreignObject>
      <g id="a" onclick="alert(1)" style="fill: none" clip-path="url(#c)"><use xlink:href="#m"/><use href="http://x/#m"/>
      <a href="javascript:alert(1)"><path d="M0 0"/></a><image href="javascript:alert(1)"/>
      <text style="fill: url(http://x)">&lt;script&gt;</text></g></svg>"""
    drawn = svg.inline(source, "f1-", sheet)
    assert drawn.startswith("<svg ") and '<g id="f1-a" class="s0" clip-path="url(#f1-c)">' in drawn and '<use href="#f1-m"' in drawn
    assert "<text>&lt;script&gt;</text>" in drawn
    assert not re.search(r"<script|onclick|javascript|http:|foreignObject|<style|<a |<!--|metadata", drawn)
    assert sheet.css() == ".s0{fill: none}\n"


def test_a_figure_with_a_hostile_estimator_is_a_drawing_only(tmp_path: Path, one_figure: None) -> None:
    factory.make(tmp_path / "outputs", "--><script>alert(1)</script>", folder="hostile")
    seen = Outline(made(tmp_path))
    assert [tag for tag, _ in seen.tags].count("script") == 2 and [tag for tag, _ in seen.tags].count("figure") >= 1


def test_a_bar_lies_where_its_numbers_lie() -> None:
    wide = Interval(1e-2, 1e-3, (1e-3, 1e-1))
    scale = bars.Scale([Interval(1e-4, None, None), wide, None])
    assert (scale.low, scale.high) == (-4, -1)
    bar = scale.bar(wide)
    assert bar is not None
    third = (bars.WIDTH - 2 * bars.MARGIN) / 3
    assert (bar.left, bar.dot, bar.right) == pytest.approx(
        (bars.MARGIN + third, bars.MARGIN + 2 * third, bars.MARGIN + 3 * third), abs=0.06
    )
    below = scale.bar(Interval(-1e-5, 1e-4, (0.0, 1e-3)))
    assert below is not None and below.dot is None and below.open and below.left == 0
    assert scale.bar(Interval(0.0, 0.0, (0.0, 0.0))) is None and scale.bar(None) is None
    assert scale.bar(Interval(1.0, None, (0.5, float("inf")))) is None


# ----------------------------------------------------------------------------------------------------------------- other tables


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("1.234(5)e-3", "1.234e-3"),
        ("−2(3)e-8", "-2e-8"),
        ("[0.5, 2]", "0.5"),
        ("3 ± 1", "3"),
        ("12%", "12"),
        ("2.18(3)e8 to 2.18(3)e7", "2.18e8"),
        ("1 tonne", ""),
        ("4x4 categoricals", ""),
        ("N=2", ""),
        ("", ""),
    ],
)
def test_what_a_cell_sorts_by(text: str, key: str) -> None:
    assert order(text) == key


def test_any_table_is_shown_with_its_badges() -> None:
    body = [["ARMS", "4.2(1)e-6", "reproduced", "–"], ["<b>RLOO</b>", "10(2)", "not reproduced", "2"]]
    table = Table("scoreboard", "Scoreboard", ["finding", "measured", "verdict", "exact"], body, pd.DataFrame(), ["a <note>"])
    assert numeric_columns(table) == {1, 3}
    text = page([], {}, [table], [], [], [], [])
    seen = Outline(text)
    badges = [(a["class"], a["title"]) for tag, a in seen.tags if tag == "span" and str(a.get("class")).startswith("badge")]
    assert any(kind == "badge good" and title.startswith("reproduced: ") for kind, title in badges)
    assert any(kind == "badge bad" and title.startswith("not reproduced: ") for kind, title in badges)
    assert "<b>RLOO</b>" in seen.text and "a <note>" in seen.text and text.index("findings-title") < text.index("runs-title")


def test_every_colour_of_a_figure_can_be_seen_in_the_dark() -> None:
    """What the style sheet does to a figure in the dark, by the formulas of CSS filters: drawings need a contrast of 3, text one of 4.5."""
    (share,) = set(map(float, re.findall(r"--print: invert\((.*?)\) hue-rotate\(180deg\)", _asset("style.css"))))
    turn = np.array([[-0.574, 1.43, 0.144], [0.426, 0.43, 0.144], [0.426, 1.43, -0.856]])

    def dark(colour: str) -> np.ndarray:
        rgb = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.clip(turn @ (rgb + share * (1 - 2 * rgb)), 0, 1)

    def light(rgb: np.ndarray) -> float:
        return float(np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    def contrast(colour: str) -> float:
        return (light(dark(colour)) + 0.05) / (light(dark("#ffffff")) + 0.05)

    assert [round(255 * x) for x in dark("#ffffff")] == [23, 23, 23] and "--paper: #171717" in _asset("style.css")
    assert all(contrast(colour) > 3 for colour in (*looks.COLOURS.values(), *optimum.ramp(5)))
    assert all(1.05 / (light(np.array(to_rgb(colour))) + 0.05) > 3 for colour in optimum.ramp(5))  # on white
    assert contrast("#000000") > 4.5 and contrast(GREY) > 4.5


# ------------------------------------------------------------------------------------------------------------------- the command


@pytest.mark.parametrize(
    "given",
    [
        ["estimator=rloo", "num_samples=4"],
        ["estimator=concrete", "estimator.temperature=1e-05", "model.logits=[0.5,-1e-3]", "name=other", "seed=3", "dtype=float64"],
        ["estimator=rebar", "tune.steps=10", "num_samples=2", "num_replicates=100", "reference.kind=long_run", "engine=loop"],
        ["estimator=rebar", "tune=none"],
        ["estimator=st_gumbel", "model=binary_vae", "data.binarization=threshold", "wrt=encoder", "block_size=32"],
        ["model=gaussian_toy", "model.cost=cos", "estimator=reparameterization"],
        ["estimator=exact", "num_samples=3"],
    ],
)
def test_the_command_measures_the_same_thing(given: list[str]) -> None:
    """The result_id covers every setting: equal ids are equal measurements."""
    with composing():
        asked = plan(given)
        config = _config(given)
        words = shlex.split(rerun.command(config))
        assert words[:2] == ["gsx", "run"]
        again = plan(words[2:])
        assert again.result_id == asked.result_id and again.folder == asked.folder


def test_a_command_without_one_override_would_be_seen() -> None:
    with composing():
        asked = plan(["estimator=concrete", "estimator.temperature=0.7"])
        words = rerun.overrides(_config(["estimator=concrete", "estimator.temperature=0.7"]))
        assert plan(words).result_id == asked.result_id
        words.remove("estimator.temperature=0.7")
        assert plan(words).result_id != asked.result_id


def _config(given: list[str]) -> dict:
    from gsx.cli.cell import prepared
    from gsx.cli.compose import composed

    return json.loads(json.dumps(prepared(json.dumps(composed(given), sort_keys=True)).config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "${oc.env:HOME}"}, "text"),
        ({"name": "a'b"}, "text"),
        ({"hydra": {"run": {"dir": "/"}}}, "hydra"),
        ({"hydra": "x"}, "hydra"),
        ({"estimator": {"name": "concrete", "x=1 hydra.run.dir": 1}}, "no word"),
        ({"estimator": {"name": "../../secret"}}, "no word"),
        ({"model": {"name": "m\n", "k": 1}}, "no word"),
    ],
)
def test_a_strangers_configuration_becomes_no_command(change: dict, said: str) -> None:
    with pytest.raises(rerun.Inexpressible, match=said):
        rerun.command(_plain() | change)


def test_text_is_quoted_for_hydra_and_for_the_shell() -> None:
    words = shlex.split(rerun.command(_plain() | {"name": "two words; rm -rf ~", "plugins": ["my.module"]}))
    assert words[-2:] == ["name='two words; rm -rf ~'", "plugins=[my.module]"]
    own = {"name": "leave_one_out", "strength": 2}
    assert rerun.overrides(_plain() | {"estimator": own})[:2] == ["estimator=leave_one_out", "++estimator.strength=2"]


def _plain() -> dict:
    return {"estimator": {"name": "concrete", "temperature": 0.5}, "model": {"name": "bernoulli_toy"}}
