"""The playground by keyboard alone, in dark and light, and on a phone; and its pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.harness import Server, serving
from tests.playground.conftest import MARATHON, Open

# Kept after the tests; `make images` puts them into the documentation.
PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
DESKTOP = {"width": 1280, "height": 860}
PHONE = {"width": 360, "height": 740}

# Every text that can be seen, with the contrast to what is behind it (WCAG 2.2, 1.4.3).
CONTRASTS = """
() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest(".out, script, option, kbd")) continue;
    const style = getComputedStyle(node);
    const [one, other] = [light(parse(style.color)), light(behind(node))].sort((a, b) => b - a);
    found.push([(one + 0.05) / (other + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
  }
  return found;
}
"""  # noqa: E501


def fail(page: Page) -> None:
    page.get_by_role("textbox", name="Body", exact=True).fill('{"value": 1}')
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("tabpanel", name="Report")).to_be_visible()


def focused(page: Page) -> str:
    """Id of what has the focus, or its text."""
    return str(page.evaluate("document.activeElement.id || document.activeElement.textContent"))


# --- by keyboard --------------------------------------------------------------------------


def test_a_request_is_edited_sent_and_saved_by_keyboard_alone(
    server: Server, folder: Path, open_page: Open
) -> None:
    page = open_page(server)

    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the request"
    page.keyboard.press("Enter")
    _tab_to(page, "body")
    page.keyboard.press("Control+A")
    page.keyboard.type(MARATHON)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#code")).to_have_text("200 OK")
    _tab_to(page, "save-open")
    page.keyboard.press("Enter")
    page.keyboard.type("by hand")
    page.keyboard.press("Enter")

    expect(page.locator("#said")).to_have_text("Saved as samples/by-hand.json.")
    (folder / "samples" / "by-hand.json").unlink()


def test_tabs_are_walked_with_arrows(server: Server, open_page: Open) -> None:
    page = open_page(server)
    page.get_by_role("tab", name="Body").first.focus()

    page.keyboard.press("ArrowRight")
    assert focused(page) == "tab-headers"
    expect(page.get_by_label("Headers, one a line")).to_be_visible()
    page.keyboard.press("End")
    assert focused(page) == "tab-python"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "tab-body"


def test_every_control_is_reached_with_tab_named_and_shows_its_focus(
    server: Server, open_page: Open
) -> None:
    page = open_page(server, viewport=DESKTOP)
    fail(page)
    page.get_by_role("heading", level=1).click()  # Tab goes on from there
    reached: list[dict[str, Any]] = []

    for _ in range(80):
        page.keyboard.press("Tab")
        it = page.evaluate(
            """() => {
              const it = document.activeElement, style = getComputedStyle(it);
              return {tag: it.tagName, id: it.id,
                name: it.ariaLabel || it.labels?.[0]?.textContent || it.textContent,
                outline: `${style.outlineStyle} ${style.outlineWidth}`};
            }"""
        )
        if it["tag"] == "BODY" or it["name"] == "Skip to the request":
            break
        reached.append(it)

    ids = {it["id"] for it in reached}
    wanted = {
        "method", "target", "send", "tab-body", "type", "format", "choose", "body",
        "save-open", "tab-report", "clear",
    }  # fmt: skip
    assert wanted <= ids
    assert [it for it in reached if it["outline"] != "solid 2px"] == []
    assert [it for it in reached if not it["name"].strip()] == []


def _tab_to(page: Page, wanted: str) -> None:
    for _ in range(60):
        if focused(page) == wanted:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {wanted}")


# --- in dark, in light, on a phone --------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(server: Server, open_page: Open, scheme: str) -> None:
    page = open_page(server, viewport=DESKTOP, color_scheme=scheme)
    fail(page)

    contrasts = page.evaluate(CONTRASTS)

    assert len(contrasts) > 30
    assert [it for it in contrasts if it[0] < 4.5] == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is (scheme == "light")


@pytest.mark.parametrize("width", [360, 700, 1100, 1280])
def test_nothing_is_wider_than_the_screen(server: Server, open_page: Open, width: int) -> None:
    page = open_page(server, viewport={"width": width, "height": 740})
    for summary in page.locator("summary:visible").all():
        summary.click()
    fail(page)
    page.get_by_role("button", name="Save as sample").click()

    for tab in page.get_by_role("tab").all():
        if tab.is_visible():
            tab.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_a_phone_the_answer_comes_into_view(server: Server, open_page: Open) -> None:
    page = open_page(server, viewport=PHONE, has_touch=True, is_mobile=True)

    expect(page.get_by_role("button", name="marathon")).to_be_hidden()
    page.get_by_text("Samples and recent requests").tap()
    page.get_by_role("button", name="marathon").tap()
    page.get_by_role("button", name="Send").tap()

    expect(page.locator("#code")).to_be_in_viewport()


# --- pictures -----------------------------------------------------------------------------

SHOWN = """\
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

distance = {"value": 26.2, "unit": "mile"}


def init():
    global factors
    factors = {"km": 1.0, "mile": 1.609344, "league": 4.828032}


@input_schema("distances", StandardPythonParameterType([distance]))
@output_schema(StandardPythonParameterType({"km": [42.16]}))
def run(distances):
    km = []
    for one in distances:
        factor = factors[one["unit"]]
        km.append(round(one["value"] * factor, 2))
    return {"km": km}
"""
SAMPLES = {
    "marathon": [{"value": 26.2, "unit": "mile"}],
    "three-legs": [
        {"value": 3, "unit": "mile"},
        {"value": 12.5, "unit": "km"},
        {"value": 1, "unit": "league"},
    ],
    "no-unit": [{"value": 40}],
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("shown")
    (root / "score.py").write_text(SHOWN, encoding="utf-8")
    (root / "samples").mkdir()
    for name, distances in SAMPLES.items():
        text = json.dumps({"distances": distances})
        (root / "samples" / f"{name}.json").write_text(text, encoding="utf-8")
    with serving(root / "score.py", "--dev", root=root) as started:
        yield started


@pytest.mark.parametrize(
    ("name", "sample", "scheme", "viewport"),
    [
        ("light", "three-legs", "light", DESKTOP),
        ("dark", "three-legs", "dark", DESKTOP),
        ("error", "no-unit", "light", DESKTOP),
        ("phone", "no-unit", "dark", PHONE),
    ],
)
def test_pictures_are_kept(
    shown: Server,
    open_page: Open,
    name: str,
    sample: str,
    scheme: str,
    viewport: dict[str, int],
) -> None:
    page = open_page(shown, viewport=viewport, color_scheme=scheme)
    if name == "phone":
        page.get_by_text("Samples and recent requests").click()
    page.get_by_role("button", name=sample).click()
    if name == "phone":
        page.get_by_text("Samples and recent requests").click()
    for _ in range(2):  # the second answer has the time of a server that is warm
        page.keyboard.press("Control+Enter")
        expect(page.locator("#code")).not_to_be_empty()
        expect(page.locator("#send")).to_contain_text("Send")
    page.evaluate("document.activeElement.blur()")

    PICTURES.mkdir(parents=True, exist_ok=True)
    picture = page.screenshot(path=PICTURES / f"playground-{name}.png", full_page=name == "phone")

    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000
