"""The ratios of a run as a picture: SVG, for light and dark pages."""
import html

WIDTH, LEFT, RIGHT = 840, 250, 60  # of the picture, of the names, of the figures; pixels
BAR, GAP, TITLE = 16, 4, 34  # heights
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; }
  .ours { fill: #1a7f5a; } .other { fill: #8c959f; } .reference { stroke: #24292f; stroke-dasharray: 3 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .ours { fill: #3fb98a; } .other { fill: #6e7681; } .reference { stroke: #e6edf3; }
  }
"""


def draw(rows):
    """SVG: a group for each case, a bar for each subject, and a line where the reference is."""
    groups = {}
    for row in rows:
        groups.setdefault((row["section"], row["case"], row["reference"]), []).append(row)
    longest = max((row["ratio"] for row in rows), default=1)
    scale = (WIDTH - LEFT - RIGHT) / max(longest, 1.1)
    shapes, y = [], 24
    shapes.append(text(0, y - 8, "More is better; the dashed line is what is named after “beside”.", ""))
    for (section, case, reference), bars in groups.items():
        y += TITLE - BAR
        shapes.append(text(0, y, f"{section}: {case}, beside {reference}", "title"))
        y += GAP * 2
        top = y
        for row in sorted(bars, key=lambda row: -row["ratio"]):
            kind = "ours" if row["subject"].startswith(("IST", "istbpf")) else "other"
            length = max(row["ratio"] * scale, 1)
            shapes.append(text(LEFT - 8, y + BAR - 4, row["subject"], "", "end"))
            shapes.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}"/>')
            shapes.append(text(LEFT + length + 6, y + BAR - 4, f"{row['ratio']:.2f}", ""))
            y += BAR + GAP
        x = LEFT + scale
        shapes.append(f'<line class="reference" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{y - GAP}"/>')
        y += BAR
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
            f'aria-label="Ratios of Scripts/bench">\n<style>{STYLE}</style>\n' + "\n".join(shapes) + "\n</svg>\n")


def text(x, y, words, kind, anchor="start"):
    return (f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">'
            f"{html.escape(words, quote=False)}</text>")
