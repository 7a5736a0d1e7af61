"""A server and a client that stand ready to be measured."""
import json
import os
import subprocess

from laboratory.programs import ROOT, Failure

ORDINARY = str(ROOT / "Scripts/benchmark/ordinary_program.py")


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
