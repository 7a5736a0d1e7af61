"""How measurements are taken in turns, and shown."""
import statistics
import sys

LOWER_IS_BETTER = {"us", "ms", "CPU s/GiB", "% of a core"}


def take_turns(section, case, unit, rounds, contenders, reference):
    """Rows that compare each of `contenders`, functions by name, with the one that is `reference`.

    They take turns, round by round, so that what else the machine does meets all of them.
    """
    print(f"{section}: {case} ...", file=sys.stderr)
    names = list(contenders)
    samples = {name: [] for name in names}
    for number in range(rounds + 1):
        first = number % len(names)  # who goes first changes
        for name in names[first:] + names[:first]:
            value = contenders[name]()
            if number:  # the first round warms up
                samples[name].append(value)
    median = {name: statistics.median(samples[name]) for name in names}

    def row(name):
        mine, theirs = median[name], median[reference]
        return {"section": section, "case": case, "subject": name, "reference": reference,
                "ratio": theirs / mine if unit in LOWER_IS_BETTER else mine / theirs,
                "unit": unit, "subject_median": mine, "reference_median": theirs,
                "subject_samples": samples[name], "reference_samples": samples[reference]}

    return [row(name) for name in names if name != reference]


def show(rows):
    table = [("section", "case", "subject", "", "reference", "", "unit", "ratio")]
    for row in rows:
        digits = 0 if row["unit"] == "1/s" else 2
        table.append((row["section"], row["case"],
                      row["subject"], f"{row['subject_median']:.{digits}f}",
                      row["reference"], f"{row['reference_median']:.{digits}f}",
                      row["unit"], f"{row['ratio']:.2f}"))
    numbers = {3, 5, 7}
    widths = [max(map(len, column)) for column in zip(*table)]
    for line in table:
        print("  ".join(cell.rjust(width) if index in numbers else cell.ljust(width)
                        for index, (cell, width) in enumerate(zip(line, widths))))
    print("ratio of the medians, turned so that more is better: subject / reference for rates,"
          " reference / subject for times and costs")
