"""Draws cost against the number of sessions as an SVG, on logarithmic axes, for light and dark pages alike."""

import dataclasses
import html
import math

WIDTH, HEIGHT = 860, 500
LEFT, RIGHT, TOP, BOTTOM = 74, 206, 74, 62
LINE_GAP = 17  # between the baselines of two labels

# The page's theme decides; a viewer that knows none shows the light one.
STYLE = """
  :root { --page: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #e4e8ec; --axis: #b7bfc8;
          --blue: #0969da; --red0: #e8a06a; --red1: #d4622a; --red2: #99380b; }
  @media (prefers-color-scheme: dark) {
    :root { --page: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #21262d; --axis: #4a525c;
            --blue: #58a6ff; --red0: #a8552a; --red1: #e5824a; --red2: #ffc09a; }
  }
  text { font: 13px -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", Helvetica, Arial, sans-serif; fill: var(--soft); }
  .title { font-size: 17px; font-weight: 600; fill: var(--ink); }
  .page { fill: var(--page); } .grid { stroke: var(--grid); } .axis { stroke: var(--axis); }
  .line { fill: none; stroke-width: 2.25; stroke-linejoin: round; stroke-linecap: round; }
  .level { stroke: var(--soft); stroke-width: 1.25; stroke-dasharray: 2 5; stroke-linecap: round; }
  .label { font-weight: 600; }
"""


@dataclasses.dataclass
class Series:
    """Measured points (sessions, milliseconds), and the name of a colour in the style."""

    label: str
    colour: str
    points: list[tuple[int, float]]


def draw(title: str, subtitle: str, series: list[Series], levels: dict[str, float]) -> str:
    """`levels` are what other programs take, whatever the number of sessions: lines across."""
    values = [value for one in series for _, value in one.points] + list(levels.values())
    x_max = max(count for one in series for count, _ in one.points)
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    inner_width, inner_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(count: float) -> float:
        return LEFT + inner_width * math.log10(count) / math.log10(x_max)

    def y(value: float) -> float:
        return TOP + inner_height * (high - math.log10(value)) / (high - low)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        text(24, 32, title, "title"),
        text(24, 54, subtitle),
    ]
    for power in range(low, high + 1):
        at = y(10.0**power)
        kind = "axis" if power == low else "grid"
        out.append(f'<line class="{kind}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        out.append(text(LEFT - 10, at + 4.5, duration(10.0**power), anchor="end"))
    for power in range(0, round(math.log10(x_max)) + 1):
        at = x(10**power)
        out.append(f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 5}"/>')
        out.append(text(at, HEIGHT - BOTTOM + 22, f"{10**power:,}", anchor="middle"))
    out.append(text(LEFT + inner_width / 2, HEIGHT - 16, "sessions in the config", anchor="middle"))

    # Labels in the right margin stand at the height of what they name, and give way to each other.
    margin: list[tuple[float, str, str]] = []
    inside: list[tuple[float, float, str, str]] = []
    for label, value in levels.items():
        out.append(f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        margin.append((y(value), f"{label}: {duration(value)}", ""))
    for one in series:
        places = [(x(count), y(value)) for count, value in one.points]
        path = "M" + " L".join(f"{across:.1f} {down:.1f}" for across, down in places)
        out.append(f'<path class="line" d="{path}" style="stroke: var(--{one.colour})"/>')
        for across, down in places:
            out.append(f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3.5" style="fill: var(--{one.colour})"/>')
        across, down = places[-1]
        if one.points[-1][0] == x_max:
            margin.append((down, one.label, one.colour))
        else:
            inside.append((across, down, one.label, one.colour))
    for down, label, colour in spread(margin):
        out.append(text(WIDTH - RIGHT + 12, down + 4.5, label, "label" if colour else "", colour=colour))
    for across in {at for at, *_ in inside}:
        for down, label, colour in spread([(down, label, colour) for at, down, label, colour in inside if at == across]):
            out.append(text(across + 10, down + 4.5, label, "label", colour=colour))
    return "\n".join([*out, "</svg>", ""])


def spread(labels: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """From top to bottom, with room between them: groups that touch are centred on where they wanted to be."""
    groups: list[tuple[float, list[tuple[float, str, str]]]] = []
    for label in sorted(labels):
        groups.append((label[0], [label]))
        while len(groups) > 1:
            (above, first), (below, second) = groups[-2:]
            if below - above >= LINE_GAP * (len(first) + len(second)) / 2:
                break
            merged = first + second
            groups[-2:] = [(sum(wanted for wanted, *_ in merged) / len(merged), merged)]
    return [
        (middle + LINE_GAP * (place - (len(members) - 1) / 2), label, colour)
        for middle, members in groups
        for place, (_, label, colour) in enumerate(members)
    ]


def text(across: float, down: float, words: str, kind: str = "", anchor: str = "start", colour: str = "") -> str:
    style = f' style="fill: var(--{colour})"' if colour else ""
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}"{kind}{style}>{html.escape(words)}</text>'


def duration(milliseconds: float) -> str:
    """Two significant digits are what a glance takes in."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.2g} s"
    if milliseconds >= 10:
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds:.2g} ms"
