"""What a terminal shows, with its colours (tmux capture-pane -e), as an SVG picture for light and dark pages."""

import html
import re
import unicodedata

# Of one cell, at 14 px. Every run of text is stretched to its cells, so that any monospaced font will do.
WIDTH, HEIGHT, SIZE = 8.4, 20, 14
MARGIN, BAR = 16, 30

# The codes of SGR that the program uses, and the class of each: https://www.ecma-international.org/publications-and-standards/standards/ecma-48/
CLASSES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow"}
# Those that tmux writes to end them.
ENDS = {"22": {"bold", "dim"}, "39": {"red", "green", "yellow"}, "49": set()}

STYLE = """
  text { font: %spx ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre; }
  .page { fill: #ffffff; stroke: #d0d7de } .bar { fill: #eaeef2 } text { fill: #1f2328 }
  .bold { font-weight: 600 } .dim { fill: #6e7781 } .red { fill: #cf222e } .green { fill: #1a7f37 } .yellow { fill: #9a6700 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #3d444d } .bar { fill: #21262d } text { fill: #e6edf3 }
    .dim { fill: #8d96a0 } .red { fill: #ff7b72 } .green { fill: #56d364 } .yellow { fill: #e3b341 }
  }
""" % SIZE


def cells(text):
    """How many cells of the screen `text` takes."""
    width = 0
    for character in text:
        if not unicodedata.combining(character):
            width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def runs(screen):
    """Row, column, classes and text of everything that has one style. A style lasts beyond the end of its line."""
    classes = set()
    for row, line in enumerate(screen.splitlines()):
        column = 0
        for part in re.split(r"(\x1b\[[0-9;]*m)", line):
            if not part.startswith("\x1b"):
                if part.strip():
                    indent = len(part) - len(part.lstrip(" "))
                    yield row, column + indent, sorted(classes), part.strip(" ")
                column += cells(part)
                continue
            for code in part[2:-1].split(";"):
                if code in ("", "0"):
                    classes.clear()
                elif code in ENDS:
                    classes -= ENDS[code]
                else:
                    classes.add(CLASSES[code])


def picture(screen, columns, title):
    """The SVG of `screen`, of a window `columns` wide that is called `title`."""
    rows = len(screen.rstrip().splitlines())
    width, height = columns * WIDTH + 2 * MARGIN, rows * HEIGHT + 2 * MARGIN + BAR
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="8"/>',
        f'<path class="bar" d="M1 {BAR}V9a8 8 0 0 1 8-8h{width - 18:g}a8 8 0 0 1 8 8v{BAR - 9}z"/>',
        f'<text class="dim" x="{width / 2:g}" y="20" text-anchor="middle">{html.escape(title)}</text>',
    ]
    for row, column, classes, text in runs(screen.rstrip()):
        x, y = MARGIN + column * WIDTH, BAR + MARGIN + row * HEIGHT + SIZE
        style = f' class="{" ".join(classes)}"' if classes else ""
        parts.append(
            f'<text x="{x:.1f}" y="{y}" textLength="{cells(text) * WIDTH:.1f}"{style}>{html.escape(text, False)}</text>'
        )
    return "\n".join([*parts, "</svg>\n"])
