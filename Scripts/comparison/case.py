"""What is compared: a program's cases, and what came of each."""
import dataclasses
import os

from laboratory.programs import Failure


@dataclasses.dataclass
class Outcome:
    """What a case saw, which must be the same on every path, and its figure, which need not."""
    seen: object
    figure: float | None = None


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is done: how many seconds a load tool runs, and how much of a full run's counts and sizes."""
    seconds: int
    share: float

    def count(self, full, least=1):
        return max(least, int(full * self.share))


@dataclasses.dataclass(frozen=True)
class Case:
    title: str
    unit: str | None  # of its figure: a rate, or "s", of which less is better
    full_only: bool  # whether --quick leaves it out
    known: dict  # by path, why it is known to differ or fail there, each time


def case(title, unit=None, full_only=False, known=None):
    """A method that is a case."""
    def mark(method):
        method.case = Case(title, unit, full_only, known or {})
        return method
    return mark


class Program:
    """A server and its clients on one path. A subclass has a docstring of one line, the title; `packages`, of
    Debian; and `places`, the runner of each of its services."""
    packages = ()
    places = {"client": 1, "server": 2}

    def __init__(self, network, scale):
        self.network, self.scale = network, scale

    def start(self):
        """Starts the servers, and waits until they answer."""

    @classmethod
    def cases(cls, quick):
        found = [method for method in vars(cls).values() if hasattr(method, "case")]
        return [method for method in found if not (quick and method.case.full_only)]


def check(condition, message):
    if not condition:
        raise Failure(message)


def package_file(path, package):
    """A file that a Debian package brings."""
    check(os.path.exists(path), f"no {path}: Scripts/setup {package} installs it")
    return path
