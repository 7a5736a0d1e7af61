"""Has every program do its cases on every path, in turns."""
import contextlib
import sys
import time

from laboratory.programs import Failure

from .case import Scale
from .paths import AcrossRunners, Direct, OneRunner
from .programs import PROGRAMS
from .report import Row


def compare(programs, options, log):
    """A row for each case, as it is done."""
    with contextlib.ExitStack() as stack:
        paths = [Direct(programs), OneRunner(programs, log), stack.enter_context(AcrossRunners(programs, log))]
        for name in options.names:
            yield from compare_program(name, PROGRAMS[name], paths, options)


def compare_program(name, kind, paths, options):
    print(f"{name}: {kind.__doc__}", file=sys.stderr)
    scale = Scale(options.seconds, options.share)
    chosen = [method for method in kind.cases(options.quick) if (options.case or "") in method.case.title]
    if not chosen:
        return
    with contextlib.ExitStack() as stack:
        standing = {}
        for path in paths:
            try:
                network = stack.enter_context(path.network(name, kind.places))
                standing[path.title] = kind(network, scale)
                standing[path.title].start()
            except Failure as failure:
                yield Row(name, "start", None, {}, None, [f"{path.title}: {failure}"], [])
                return
        for number, method in enumerate(chosen):
            yield compare_case(name, method, standing, number)


def compare_case(name, method, standing, number):
    case = method.case
    print(f"  {case.title} ... ", end="", file=sys.stderr, flush=True)
    begun = time.monotonic()
    outcomes, trouble = {}, {}
    titles = list(standing)
    first = number % len(titles)  # who goes first changes
    for path in titles[first:] + titles[:first]:
        try:
            outcomes[path] = method(standing[path])
        except Failure as failure:
            trouble[path] = str(failure)
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)
    plain = outcomes["direct"].seen if "direct" in outcomes else None
    if "direct" in outcomes:
        trouble |= {path: difference(outcome.seen, plain)
                    for path, outcome in outcomes.items() if outcome.seen != plain}
    known = {path: reason for path, reason in case.known.items() if trouble.pop(path, None)}
    trouble |= {path: f"a known difference that does not show: {reason}"
                for path, reason in case.known.items() if path not in known}
    return Row(name, case.title, case.unit, {path: outcome.figure for path, outcome in outcomes.items()}, plain,
               [f"{path}: {words}" for path, words in trouble.items()],
               [f"{path}: {reason}" for path, reason in known.items()])


def difference(seen, plain):
    if isinstance(seen, dict) and isinstance(plain, dict):
        names = sorted(name for name in seen.keys() | plain.keys() if seen.get(name) != plain.get(name))
        return "; ".join(f"{name}: saw {seen.get(name)!r}, and direct {plain.get(name)!r}" for name in names)
    return f"saw {seen!r}, and direct {plain!r}"
