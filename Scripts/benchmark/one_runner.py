"""Two instances of one deployment on one runner, beside raw loopback in a namespace of its own, and what else leads
from container to container."""
import contextlib
import subprocess
import sys
import time

from laboratory.programs import Failure

from . import local_peers
from .pair import Pair
from .report import take_turns

INSTALLATION = "istbpf-bench"
PORT = 7000
SECTIONS = ("bulk", "round-trip", "connect", "start", "cut")
PEERS_PORT = 7100
# Section, case, how many CPUs, whether the others are measured too, what istbpf-bench is asked.
CASES = [
    *(("bulk", f"{kib} KiB writes", 2, kib == 64, f"bulk {{seconds}} {kib << 10} 1")
      for kib in (1, 16, 64, 256)),
    ("round-trip", "64 B, two CPUs", 2, True, "round-trip {seconds} 64"),
    ("round-trip", "64 B, one CPU", 1, False, "round-trip {seconds} 64"),
    ("connect", "connect, 1 byte, close, two CPUs", 2, True, "connect {seconds}"),
    ("connect", "connect, 1 byte, close, one CPU", 1, False, "connect {seconds}"),
]
PACKAGES = local_peers.PACKAGES


def measure(programs, options, log):
    programs.start_daemon(INSTALLATION, log)
    programs.istbpf(INSTALLATION, "deploy", "-d", "bench", "-s", "db", "-s", "app")

    def run(service):
        return [programs.path("istbpf"), "run", "--installation", INSTALLATION,
                "-d", "bench", "-s", service, "--"]

    # The program gets the address as every program does, from its environment.
    through_ist = Pair(programs, PORT, "$WARP_IST_db", run("db"), run("app"))
    loopback = Pair(
        programs, PORT, "127.0.0.1",
        ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"'],
        lambda server: ["nsenter", f"--net=/proc/{server.pid}/ns/net"])
    rows = []
    with contextlib.ExitStack() as stack:
        peers = {}
        if any(with_peers and options.wants(section) for section, _, _, with_peers, _ in CASES):
            peers = stack.enter_context(local_peers.start(programs, PEERS_PORT, log))
        for section, case, cpus, with_peers, order in CASES:
            if options.wants(section):
                pairs = {"IST": through_ist} | (peers if with_peers else {}) | {"loopback": loopback}
                rows += measure_case(section, case, cpus, order.format(seconds=options.seconds), pairs, options)
    if options.wants("start"):
        # A second instance of `app`; the client is the first.
        rows += measure_start(run("app"), options)
    if options.wants("cut"):
        rows += measure_cut(programs, run, options)
    return rows


def measure_case(section, case, cpus, order, pairs, options):
    if not options.unpinned:
        for pair in pairs.values():
            pair.pin(options.cpus[0], options.cpus[cpus - 1])
    unit = {"bulk": "GB/s", "round-trip": "us", "connect": "1/s"}[section]
    contenders = {name: lambda pair=pair: pair.measure(order)["value"] for name, pair in pairs.items()}
    return take_turns(section, case, unit, options.rounds, contenders, "loopback")


def measure_start(run, options):
    def milliseconds(command):
        time.sleep(0.05)  # the instance before has ended
        start = time.perf_counter()
        subprocess.run(command, check=True, start_new_session=True)
        return (time.perf_counter() - start) * 1000

    contenders = {"istbpf run -- true": lambda: milliseconds([*run, "true"]),
                  "true": lambda: milliseconds(["true"])}
    return take_turns("start", "a second instance", "ms", 2 * options.rounds, contenders, "true")


# One end of a connection: says "ready", waits, and says when (CLOCK_MONOTONIC) and how it was cut.
END = """
import os, socket, sys, time
if sys.argv[1] == "serve":
    listener = socket.create_server(("", 7001))
    print("listens", flush=True)
    end, _ = listener.accept()
else:
    end = socket.create_connection((os.environ["WARP_IST_removed"], 7001))
print("ready", flush=True)
try:
    end.recv(1)
    print("closed", flush=True)
except OSError as error:
    print(time.monotonic(), error.errno, flush=True)
"""


def measure_cut(programs, run, options):
    """How long after a service's removal both ends of a connection with it are cut: it may take a second."""
    def milliseconds():
        def end(service, role):
            return programs.spawn([*run(service), sys.executable, "-c", END, role], stdout=subprocess.PIPE)

        programs.istbpf(INSTALLATION, "deploy", "-d", "bench", "-s", "removed")
        removed = end("removed", "serve")
        removed.stdout.readline()
        ends = [removed, end("app", "connect")]
        for process in ends:
            if process.stdout.readline() != "ready\n":
                raise Failure("a connection that is to be cut was not made")
        start = time.monotonic()
        programs.istbpf(INSTALLATION, "deploy", "-d", "bench", "-s", "db", "-s", "app", "--replace")
        cut = [process.stdout.readline().split() for process in ends]
        for process in ends:
            process.wait()
            programs.running.remove(process)
        if any(len(words) != 2 for words in cut):
            raise Failure(f"a connection ended otherwise than by being cut: {cut}")
        return (max(float(words[0]) for words in cut) - start) * 1000

    contenders = {"both ends cut": milliseconds, "a second": lambda: 1000}
    return take_turns("cut", "a service is removed", "ms", options.rounds, contenders, "a second")
