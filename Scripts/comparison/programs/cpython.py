"""CPython's own tests, from Debian's package of them. See ends/python_tests.py for how they get to two places."""
import json

from laboratory.programs import Failure

from ..case import Outcome, Program, case, check, package_file
from ..paths import ENDS
from .python import PYTHON

# What has nothing to do with TCP, or needs the internet. The test of sockets to a virtual machine waits for ever where
# there is none.
LEFT_OUT = ("UDP", "Udp", "VSOCK", "Network", "CAN", "ISOTP", "Bluetooth", "RDS", "Qipcrtr", "Alg",
            "datagram", "test_recvfrom", "test_sendto",
            "racing")  # which hopes for how a connect and a cancel overtake each other
# Whether a sender of 256 KiB is told that the reader went away after 1 KiB: with buffers of 4 KiB at both ends.
GONE_AWAY = "close_peer_in_the_middle_of_receiving"


class CPython(Program):
    """CPython's own test_socket, test_asyncio, test_ssl and others, with the ends of each connection at two places"""
    packages = ("libpython3.11-testsuite",)

    def start(self):
        package_file("/usr/lib/python3.11/test/test_socket.py", "libpython3.11-testsuite")
        broker = self.network.file("broker")
        self.network.start("client", [PYTHON, "-B", ENDS / "socket_broker.py", broker])
        self.network.await_true("the broker of sockets", broker.exists)

    def tests(self, *modules, only=()):
        """The outcome of each, where no end knows that there are two places."""
        words = [f"test.{module}" for module in modules] + [f"+{name}" for name in only]
        words += [f"-{name}" for name in (*LEFT_OUT, *(() if only else (GONE_AWAY,)))]
        said = self.network.result(
            "server", f"mkdir -p {self.network.files}/scratch && cd {self.network.files}/scratch && "
            f"exec {PYTHON} -B {ENDS}/python_tests.py {self.network.files}/broker $OWN {' '.join(words)}", patience=400)
        if said.returncode != 0 or not said.stdout:
            raise Failure(f"{modules}: exit status {said.returncode}: {said.stderr[-1000:]}")
        answer = json.loads(said.stdout.splitlines()[-1])
        bad = {name: answer["reasons"].get(name) for name, outcome in answer["outcomes"].items()
               if outcome in ("failed", "error")}
        words = "\n".join(f"{name}: {reason}" for name, reason in bad.items())
        check(not bad, f"{len(bad)} of {len(answer['outcomes'])} tests failed:\n{words}")
        check(answer["crossed"] > 0, "no connection went from place to place")
        return Outcome(answer["outcomes"])

    @case("test_socket", full_only=True)
    def socket(self):
        return self.tests("test_socket")

    @case("test_asyncio: servers, streams, sockets")
    def asyncio(self):
        return self.tests(*(f"test_asyncio.test_{name}" for name in (
            "server", "streams", "sock_lowlevel", "buffered_proto")))

    @case("test_asyncio: events, sendfile", full_only=True)
    def asyncio_events(self):
        return self.tests("test_asyncio.test_events", "test_asyncio.test_sendfile")

    @case("test_asyncio: sendfile to a reader that goes away, buffers of 4 KiB", known={
        "across": "what lies between takes in all of its 256 KiB (Sources/Relay/BufferLimits.swift)"})
    def gone_away(self):
        return self.tests("test_asyncio.test_sendfile", only=[f"EPollEventLoopTests.test_sendfile_{GONE_AWAY}"])

    @case("test_asyncio: TLS", full_only=True)
    def asyncio_tls(self):
        return self.tests("test_asyncio.test_ssl", "test_asyncio.test_sslproto")

    @case("test_ssl", full_only=True)
    def tls(self):
        return self.tests("test_ssl")

    @case("test_selectors, test_socketserver, test_asyncore, test_asynchat", full_only=True)
    def servers(self):
        return self.tests("test_selectors", "test_socketserver", "test_asyncore", "test_asynchat")

    @case("the libraries of FTP, SMTP, POP, IMAP, Telnet, HTTP and XML-RPC", full_only=True)
    def libraries(self):
        return self.tests("test_ftplib", "test_smtplib", "test_poplib", "test_imaplib", "test_telnetlib",
                          "test_httplib", "test_httpservers", "test_urllib2_localnet", "test_xmlrpc")
