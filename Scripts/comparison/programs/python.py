"""Python."""
import json

from ..case import Outcome, Program, case
from ..paths import ENDS
from .node import post

PORT, EARLY = 9000, 9001
PYTHON = "/usr/bin/python3"  # not a shim that may come before it


class Python(Program):
    """an asyncio echo with many connections that are held, and an answer before the request has come"""
    packages = ("python3", "curl")

    def start(self):
        self.network.start("server", [PYTHON, ENDS / "asyncio_echo.py", "serve", PORT])
        self.network.start("server", [PYTHON, ENDS / "early_answer.py", EARLY])
        self.network.await_port("client", "server", PORT)
        self.network.await_port("client", "server", EARLY)

    def hold(self, connections, rounds):
        return json.loads(self.network.call("client", [
            PYTHON, ENDS / "asyncio_echo.py", "hold", self.network.address("server"), PORT, connections, rounds]))

    @case("asyncio: 300 connections at once, held: connected in", "s")
    def held(self):
        said = self.hold(300, 5)
        return Outcome(said["seen"], said["connected"])

    @case("asyncio: 300 connections, 1,000 bytes echoed", "1/s")
    def echo(self):
        said = self.hold(300, self.scale.count(200))
        return Outcome(said["seen"], said["rate"])

    @case("asyncio: 2 connections, 1,000 bytes echoed", "1/s", full_only=True)
    def echo_two(self):
        said = self.hold(2, self.scale.count(20_000))
        return Outcome(said["seen"], said["rate"])

    @case("curl posts 100 kB and is answered 401 early, 40 times: none is lost")
    def early(self):
        return post(self.network, f"http://{self.network.address('server')}:{EARLY}/")
