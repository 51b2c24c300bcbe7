from __future__ import annotations

from xml.etree import ElementTree

from benchmarks.chart import Bar, Panel, panels, svg
from benchmarks.results import Results

SVG = "{http://www.w3.org/2000/svg}"


def widths(picture: str) -> list[float]:
    root = ElementTree.fromstring(picture)
    return [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect")]


def test_bars_are_as_long_as_their_figures() -> None:
    bars = (Bar("ours", 200.0, "200"), Bar("other", 50.0, "50"))

    longest, shortest = widths(svg("T", [Panel("requests/s", bars)]))

    assert longest == 4 * shortest


def test_each_panel_has_a_scale_of_its_own() -> None:
    speed = Panel("requests/s", (Bar("ours", 9000.0, "9 000"),))
    cost = Panel("CPU", (Bar("ours", 0.1, "0.1"),))

    first, second = widths(svg("T", [speed, cost]))

    assert first == second


def test_a_server_without_a_figure_has_a_label_and_no_bar() -> None:
    picture = svg("T", [Panel("CPU", (Bar("ours", 1.0, "1"), Bar("other", None, "-")))])

    assert len(widths(picture)) == 1
    assert "other" in picture


def test_titles_may_hold_any_character() -> None:
    picture = svg("a < b & c", [])

    assert ElementTree.fromstring(picture).findtext(f"{SVG}title") == "a < b & c"


def test_only_measures_with_figures_get_a_panel() -> None:
    found = Results()
    found.add("ours", "probe", {"probe_p50_ms": 1.0, "probe_p99_ms": 2.0})

    [panel] = panels(found, "probe", ["ours"])

    assert panel.title == "probe p99 ms"
