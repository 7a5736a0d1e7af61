"""What the page of `istbpf ui` costs while services connect: CPU of istbpfd and of the page's server, by how many pages
are open."""
import contextlib
import os
import subprocess
import sys
import time

from laboratory.programs import Failure

from .report import take_turns

INSTALLATION = "istbpf-bench-pages"
SECTIONS = ("pages",)
PORT, RATE, PAGES = 7010, 1000, 10

# Each end of RATE short connections a second.
SERVE = f"""
import socket
listener = socket.create_server(("", {PORT}), backlog=1024)
print("listens", flush=True)
while True:
    end, _ = listener.accept()
    end.close()
"""
CONNECT = f"""
import os, socket, time
due = time.monotonic()
while True:
    with socket.create_connection((os.environ["WARP_IST_db"], {PORT})) as end:
        end.recv(1)
    due += {1 / RATE}
    time.sleep(max(0, due - time.monotonic()))
"""


def measure(programs, options, log):
    programs.start_daemon(INSTALLATION, log)
    daemon = programs.running[-1]
    programs.istbpf(INSTALLATION, "deploy", "-d", "bench", "-s", "db", "-s", "app")

    def run(service, code):
        return programs.spawn([programs.path("istbpf"), "run", "--installation", INSTALLATION, "-d", "bench", "-s",
                               service, "--", sys.executable, "-c", code], stdout=subprocess.PIPE)

    if run("db", SERVE).stdout.readline() != "listens\n":
        raise Failure("the server did not listen")
    run("app", CONNECT)
    server = programs.spawn([programs.path("istbpf"), "ui", "--installation", INSTALLATION], stdout=subprocess.PIPE)
    address, token = server.stdout.readline().strip().split("#")

    def percent(pages):
        """Of one core, with so many pages open."""
        with contextlib.ExitStack() as stack:
            for _ in range(pages):
                page = programs.spawn(["curl", "--silent", "--noproxy", "*", "--no-buffer", "--output", "/dev/null",
                                       "--header", f"Authorization: Bearer {token}",
                                       f"{address}api/feed?deployment=bench"])
                stack.callback(programs.end, page)
            time.sleep(1)
            before, start = cpu_seconds(daemon, server), time.monotonic()
            time.sleep(5 * options.seconds)
            return 100 * (cpu_seconds(daemon, server) - before) / (time.monotonic() - start)

    contenders = {f"{PAGES} pages": lambda: percent(PAGES), "one page": lambda: percent(1)}
    return take_turns("pages", f"{RATE} connections a second", "% of a core", options.rounds, contenders, "one page")


def cpu_seconds(*processes):
    """What they have used so far, in user and kernel mode (proc(5))."""
    def ticks(process):
        with open(f"/proc/{process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    return sum(map(ticks, processes)) / os.sysconf("SC_CLK_TCK")
