"""Node."""
import json

from ..case import Outcome, Program, case, package_file
from ..paths import ENDS
from .nginx import wrk

PORT = 8081


class Node(Program):
    """its http with connections that are kept, a WebSocket echo (ws), and an answer before the request has come"""
    packages = ("nodejs", "node-ws", "wrk", "curl")

    def start(self):
        # Where Debian's packages of modules are: a Node of another origin does not look there.
        package_file("/usr/share/nodejs/ws", "node-ws")
        self.node = ["env", "NODE_PATH=/usr/share/nodejs", "node"]
        self.network.start("server", [*self.node, ENDS / "node-server.js", PORT])
        self.network.await_port("client", "server", PORT)

    def talk(self, kind, connections, requests):
        said = json.loads(self.network.call("client", [
            *self.node, ENDS / "node-client.js", kind, self.network.address("server"), PORT, connections, requests]))
        rate = said.pop("rate")
        return Outcome(said, rate)

    @case("http: 50 connections that are kept; what was posted comes back", "1/s")
    def kept(self):
        return self.talk("http", 50, self.scale.count(40_000))

    @case("http: 1 connection", "1/s", full_only=True)
    def one(self):
        return self.talk("http", 1, self.scale.count(10_000))

    @case("WebSocket: 1 connection; each message comes back", "1/s", full_only=True)
    def websocket(self):
        return self.talk("websocket", 1, self.scale.count(20_000))

    @case("WebSocket: 100 connections", "1/s")
    def websockets(self):
        return self.talk("websocket", 100, 100 * self.scale.count(1_000))

    @case("wrk: 50 connections that are kept", "1/s")
    def wrk(self):
        return wrk(self.network, f"http://{self.network.address('server')}:{PORT}/", self.scale.seconds, 50)

    @case("curl posts 100 kB and is answered 413 early, 40 times: none is lost")
    def early(self):
        return post(self.network, f"http://{self.network.address('server')}:{PORT}/early")


def post(network, url):
    """What curl has of each answer: the end that follows it may be a reset."""
    said = network.call("client", f"""
      head -c 100000 /dev/zero > {network.files}/body
      for n in $(seq 40); do
        curl -s -H 'Expect:' --data-binary @{network.files}/body -w ' %{{http_code}}\\n' {url} | tr '\\n' ' '
        echo
      done | sort | uniq -c""")
    return Outcome(said)
