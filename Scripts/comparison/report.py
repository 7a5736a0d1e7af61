"""The table of what came of each case."""
import dataclasses


@dataclasses.dataclass
class Row:
    program: str
    title: str
    unit: str | None
    figures: dict  # by path
    seen: object  # direct
    trouble: list  # words, where it failed or differed
    known: list  # the same, where that is known

    def ratio(self, path, reference="direct"):
        mine, theirs = self.figures.get(path), self.figures.get(reference)
        if not mine or not theirs:
            return None
        return theirs / mine if self.unit == "s" else mine / theirs

    @property
    def verdict(self):
        return "FAILED" if self.trouble else "known" if self.known else "same"


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def show(rows):
    others = ("one runner", "across")
    heads = ["program", "case", "unit", "direct"]
    for path in others:
        heads += [path, "ratio"]
    table = [heads + ["seen"]]
    for row in rows:
        line = [row.program, row.title, row.unit or "", number(row.figures.get("direct"))]
        for path in others:
            line += [number(row.figures.get(path)), number(row.ratio(path))]
        table.append(line + [row.verdict])
    widths = [max(map(len, column)) for column in zip(*table)]
    words = {0, 1, 2, len(widths) - 1}
    for line in table:
        print("  ".join(cell.ljust(width) if index in words else cell.rjust(width)
                        for index, (cell, width) in enumerate(zip(line, widths))).rstrip())
    print("ratio: to direct, turned so that more is better")
