"""One small SVG a job: horizontal bars, a panel for each of a few measures. No plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.report import NOTHING, figure
from benchmarks.results import MEASURES, Measure, Results

# One measure each of speed, waiting and cost; for a job with probes there is only the last.
CHARTED = ("requests_per_s", "p99_ms", "cpu_ms", "probe_p99_ms")

WIDTH = 720
LABELS = 110
FIGURES = 80
BAR = 18
STEP = 26
HEADING = 34

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.bar { fill: #8c959f; }
.base { fill: #0969da; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #6e7681; }
  .base { fill: #4493f8; }
}"""


@dataclass(frozen=True, slots=True)
class Bar:
    label: str
    value: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    bars: tuple[Bar, ...]


def panels(results: Results, job: str, peers: Sequence[str]) -> list[Panel]:
    """A panel for each charted measure that this job has figures for."""
    shown = [measure for measure in MEASURES if measure.key in CHARTED]
    available = results.measures(job)
    return [
        Panel(measure.title, tuple(_bar(results, job, peer, measure) for peer in peers))
        for measure in shown
        if measure in available
    ]


def _bar(results: Results, job: str, peer: str, measure: Measure) -> Bar:
    value = results.value(peer, job, measure.key)
    return Bar(peer, value, figure(value, measure))


def svg(title: str, drawn: Sequence[Panel]) -> str:
    """The picture as text. The first bar of each panel is the one in colour."""
    parts: list[str] = []
    top = 24
    for panel in drawn:
        parts.append(f'<text class="title" x="0" y="{top + 14}">{escape(panel.title)}</text>')
        top += HEADING - 10
        largest = max((bar.value or 0.0 for bar in panel.bars), default=0.0)
        for number, bar in enumerate(panel.bars):
            parts += _draw(bar, top, largest, "base" if number == 0 else "bar")
            top += STEP
        top += 10
    height = top + 4
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<text class="title" x="0" y="16">{escape(title)}</text>',
            *parts,
            "</svg>",
            "",
        ]
    )


def _draw(bar: Bar, top: int, largest: float, style: str) -> list[str]:
    middle = top + BAR - 5
    label = f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.label)}</text>'
    if bar.value is None or largest <= 0:
        return [label, f'<text x="{LABELS}" y="{middle}">{NOTHING}</text>']
    # A bar of no width would look like a missing figure.
    length = max(1.0, (WIDTH - LABELS - FIGURES) * bar.value / largest)
    return [
        label,
        f'<rect class="{style}" x="{LABELS}" y="{top}" width="{length:.1f}" height="{BAR}"/>',
        f'<text x="{LABELS + length + 6:.1f}" y="{middle}">{escape(bar.text)}</text>',
    ]
