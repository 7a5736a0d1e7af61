"""The programs that a benchmark builds and starts, and their end."""
import contextlib
import json
import os
import pathlib
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ORDINARY = str(ROOT / "Scripts/benchmark/ordinary_program.py")


class Failure(Exception):
    """Something that keeps the measurement from being taken."""


class Programs:
    """The built programs, and those that run; stops them, last first, and removes what they made."""

    def __init__(self, configuration):
        self.directory = ROOT / ".build" / configuration
        self.running = []
        self.installations = []

    def build(self, configuration):
        # As it is installed: a program that needs no Swift runtime also starts sooner.
        static = ["--static-swift-stdlib"] if configuration == "release" else []
        for product in ("istbpfd", "istbpf", "istbpf-oci", "istbpf-bench"):
            subprocess.run(["swift", "build", "--quiet", *static,
                            "-c", configuration, "--product", product],
                           cwd=ROOT, check=True)

    def path(self, name):
        return str(self.directory / name)

    def spawn(self, command, **options):
        # A session of its own: Ctrl-C is for this script, which then stops everything in order.
        process = subprocess.Popen(command, text=True, start_new_session=True, **options)
        self.running.append(process)
        return process

    def end(self, process):
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.running.remove(process)

    def istbpf(self, installation, command, *arguments):
        result = subprocess.run(
            [self.path("istbpf"), command, "--installation", installation, *arguments], text=True,
            capture_output=True, start_new_session=True)
        if result.returncode != 0:
            raise Failure(f"istbpf {command} {' '.join(arguments)}: {result.stderr.strip()}")

    def start_daemon(self, installation, log, prefix=(), arguments=()):
        """Starts a daemon with `arguments`, `prefix` before its command, and waits until it answers."""
        with contextlib.suppress(Failure):  # what a run that was killed left behind
            self.istbpf(installation, "uninstall", "--force")
        self.installations.append(installation)
        daemon = self.spawn(
            [*prefix, self.path("istbpfd"), "--installation", installation, *arguments],
            stdout=log, stderr=log)
        for _ in range(500):
            if daemon.poll() is not None:
                break
            with contextlib.suppress(Failure):
                return self.istbpf(installation, "ps")
            time.sleep(0.02)
        log.seek(0)
        raise Failure(f"istbpfd did not become ready:\n{log.read()}")

    def stop(self):
        while self.running:
            self.end(self.running[-1])
        while self.installations:
            self.istbpf(self.installations.pop(), "uninstall", "--force")


class Pair:
    """A server and a client that stand ready: istbpf-bench, at first."""

    def __init__(self, programs, port, address, server, client, entry=None):
        """`server` and `client` are the commands that run a command at their place; the client
        connects to `entry`, which is `port` if nothing is between."""
        self.programs, self.port, self.address, self.entry = programs, port, address, entry or port
        self.at_server, self.at_client = server, client
        self.start(programs.path("istbpf-bench"))

    def start(self, program):
        self.program = program
        self.server = self.programs.spawn([*self.at_server, program, "serve", str(self.port)],
                                          stdout=subprocess.PIPE)
        if self.server.stdout.readline() != "ready\n":
            raise Failure(f"{program} serve did not become ready")
        self.start_client()

    def start_client(self):
        place = self.at_client(self.server) if callable(self.at_client) else self.at_client
        command = f'exec "$0" measure "{self.address}" {self.entry}'
        self.client = self.programs.spawn([*place, "sh", "-c", command, self.program],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def replace(self, program):
        """Has `program` at both ends instead, which takes the same commands."""
        for process in (self.client, self.server):
            self.programs.end(process)
        self.start(program)

    def pin(self, server, client):
        # Each has become the program: none of what starts it leaves a process between.
        os.sched_setaffinity(self.server.pid, {server})
        os.sched_setaffinity(self.client.pid, {client})

    def measure(self, order):
        """What the client answers to `order` (Sources/istbpf-bench/Order.swift)."""
        self.client.stdin.write(order + "\n")
        self.client.stdin.flush()
        line = self.client.stdout.readline()
        if not line:
            raise Failure(f"{self.program} ended during '{order}'")
        return json.loads(line)
