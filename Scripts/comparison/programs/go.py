"""Go's own conformance test of connections, golang.org/x/net/nettest, from Debian's package of it."""
import re
import shutil
import subprocess

from laboratory.programs import ROOT

from ..case import Outcome, Program, case, check, package_file
from ..paths import ENDS
from .python import PYTHON

BUILT = ROOT / ".build" / "go-nettest"


def build():
    package_file("/usr/share/gocode/src/golang.org/x/net/nettest/conntest.go", "golang-golang-x-net-dev")
    source = BUILT / "nettest_test.go"
    text = (ENDS / source.name).read_bytes()
    if (BUILT / "nettest").exists() and source.exists() and source.read_bytes() == text:
        return
    shutil.rmtree(BUILT, ignore_errors=True)
    BUILT.mkdir(parents=True)
    source.write_bytes(text)
    subprocess.run(["env", "GO111MODULE=off", "GOPATH=/usr/share/gocode", f"GOCACHE={BUILT}/cache", "GOFLAGS=",
                    "go", "test", "-c", "-o", "nettest", "."], cwd=BUILT, check=True)
    shutil.rmtree(BUILT / "cache", ignore_errors=True)


class Go(Program):
    """Go's own conformance test of connections (nettest.TestConn), with the ends at two places"""
    packages = ("golang-go", "golang-golang-x-net-dev")

    def start(self):
        build()
        broker = self.network.file("broker")
        self.network.start("client", [PYTHON, "-B", ENDS / "socket_broker.py", broker])
        self.network.await_true("the broker of sockets", broker.exists)

    def test(self, name):
        times = 5 if self.scale.share == 1 else 1
        said = self.network.result(
            "server", f"HERE=$OWN BROKER={self.network.files}/broker exec {BUILT}/nettest -test.v "
            f"-test.count {times} -test.run '^{name}$'", patience=200)
        outcomes = re.findall(r"--- (\w+): (\S+)", said.stdout)
        check(said.returncode == 0 and len(outcomes) > 10, f"exit status {said.returncode}: {said.stdout[-3000:]}"
                                                           f"{said.stderr[-1000:]}")
        return Outcome(outcomes)

    @case("TestConn")
    def conn(self):
        return self.test("TestConn")

    @case("TestConn with the ends exchanged")
    def other_way(self):
        return self.test("TestConnOtherWay")
