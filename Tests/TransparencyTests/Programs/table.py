"""The table of cases. A case is a class with a function for each end: `server` and `client`."""

import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    key: str  # the class's name
    group: str
    title: str
    ends: type
    port: int  # the first of ten that are its own
    limit: int  # seconds that it may take
    alone: bool  # whether nothing else may run meanwhile
    cut: bool  # whether the wire is cut while it runs


# The headings of the documentation.
CONNECTING, ADDRESSES, BYTES = "Connecting", "Addresses and ports", "Bytes"
ENDS, WAITING, OPTIONS = "Ends", "Waiting", "Options"
URGENT, MANY, CUT = "Urgent data", "Many connections", "A cut wire"

CASES = {}


def case(group, title, limit=20, alone=False, cut=False):
    """Puts the class into the table."""

    def enter(ends):
        if ends.__name__ in CASES:
            raise ValueError(f"two cases are called {ends.__name__}")
        CASES[ends.__name__] = Case(
            ends.__name__, group, title, ends, 20000 + 10 * len(CASES), limit, alone, cut
        )
        return ends

    return enter


def load():
    """Fills the table. The modules' order is the documentation's."""
    import connecting, patient, fast_open, oneself
    import names, ports, listeners, mptcp
    import transfer, moving, reading, stalled
    import ending, resets, lingering, killed
    import waiting, options, timers, signed, urgent, many, cut

    return CASES


def listed():
    """What the tests are told, as Table.swift has it."""
    from known import KNOWN

    cases = [
        {
            "key": c.key, "group": c.group, "title": c.title,
            "limit": c.limit, "isAlone": c.alone, "isCut": c.cut,
        }
        for c in load().values()
    ]
    known = [
        {"key": k.case, "paths": k.paths, "reason": k.reason, "labels": k.only, "isCertain": not k.sometimes}
        for k in KNOWN
    ]
    return {"cases": cases, "known": known}


if __name__ == "__main__":
    import table  # not this module again under another name

    print(json.dumps(table.listed()))
