"""Ports of callers."""

import socket, time

from end import SLOWNESS, name_of
from names import look, accept
from table import ADDRESSES, case


@case(ADDRESSES, "the caller's port, as both ends see it")
class SourcePort:
    def server(t):
        s, caller = accept(t)
        t.see("same port", t.hear() == caller[1])

    def client(t):
        s = t.connected()
        t.tell(s.getsockname()[1])


@case(ADDRESSES, "a port that the caller chose")
class ChosenPort:
    def server(t):
        s, caller = accept(t)
        t.see("chosen port", caller[1] - t.port)

    def client(t):
        s = t.connected(lambda s: s.bind(("0.0.0.0", t.port + 5)))
        look(t, s)


@case(ADDRESSES, "a port below 1024 that the caller chose")
class LowPort:
    def server(t):
        s, caller = accept(t)
        t.see("port", caller[1])

    def client(t):
        s = t.connected(lambda s: s.bind((t.own, 701)))
        t.see("port", s.getsockname()[1])


@case(ADDRESSES, "a caller bound to its own address, by IP_BIND_ADDRESS_NO_PORT")
class BoundWithoutPort:
    def server(t):
        accept(t)

    def client(t):
        def setup(s):
            s.setsockopt(socket.IPPROTO_IP, 24, 1)
            s.bind((t.own, 0))
            t.see("bound", t.who(s.getsockname()))

        look(t, t.connected(setup))


@case(ADDRESSES, "the same port again, 200 connections one after the other", limit=60)
class PortAgain:
    def server(t):
        listener = t.listener()
        t.tell()
        ports = set()
        for _ in range(200):
            s, caller = listener.accept()
            s.sendall(s.recv(1))
            s.close()
            ports.add(caller[1] - t.port)
        t.see("ports", str(sorted(ports)))

    def client(t):
        t.hear()
        outcomes = {}
        for _ in range(200):
            outcome = once_from(t, t.port + 5)
            # The last one's end may be on its way yet.
            while outcome == "EADDRNOTAVAIL":
                outcome = once_from(t, t.port + 5)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        t.see("outcomes", str(outcomes))


@case(ADDRESSES, "the same port again, 6,000 times, by a caller that does not wait for the end", limit=90, alone=True)
class PortAgainAtOnce:
    """Its next SYN is right behind the last acknowledgement of the connection before; one that is lost, direct too now
    and then, is sent again after a second."""

    def server(t):
        listener = t.listener()
        t.tell()
        for _ in range(6000):
            s, _ = listener.accept()
            s.sendall(s.recv(1))
            s.close()

    def client(t):
        t.hear()
        outcomes = {}
        for _ in range(6000):
            outcome = "EADDRNOTAVAIL"
            while outcome == "EADDRNOTAVAIL":
                outcome = briefly_from(t, t.port + 5)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        t.see("outcomes", str(outcomes))


def briefly_from(t, port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((t.own, port))
        try:
            s.connect(t.address())
            s.sendall(b"x")
            return s.recv(1).decode()
        except OSError as error:
            return name_of(error)


def once_from(t, port):
    """A connection from this port that the server ends first; what came of it."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((t.own, port))
        begin = time.monotonic()
        try:
            s.connect(t.address())
            slow = ", slow connect" if time.monotonic() > begin + 0.8 * SLOWNESS else ""
            s.sendall(b"a")
            return f"{s.recv(1)} {s.recv(1)}{slow}"
        except OSError as error:
            return name_of(error)


@case(ADDRESSES, "the caller's port while its last connection is in TIME_WAIT")
class TimeWait:
    def server(t):
        listener = t.listener()
        t.tell()
        for _ in range(2):
            s, _ = listener.accept()
            t.call("recv", s.recv, 10)
            s.close()

    def client(t):
        t.hear()
        for number in range(2):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((t.own, t.port + 5))
            t.call("connect", s.connect, t.address())
            t.call("send", s.send, b"x")
            # Its own end first, so that TIME_WAIT is here.
            s.shutdown(socket.SHUT_WR)
            t.call("recv", s.recv, 1)
            s.close()
            t.settle()


@case(ADDRESSES, "one socket and port, two connections at once (EADDRNOTAVAIL)")
class PortTaken:
    def server(t):
        listener = t.listener()
        t.tell()
        t.keep(listener.accept()[0])
        t.meet()

    def client(t):
        t.hear()
        for _ in range(2):
            s = t.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            t.call("bind", s.bind, (t.own, t.port + 5))
            t.call("connect", s.connect, t.address())
        t.meet()


@case(ADDRESSES, "one caller's port to two ports of the server at once")
class PortTwice:
    def server(t):
        listeners = [t.listener(offset=n) for n in range(2)]
        t.tell()
        for listener in listeners:
            s, caller = listener.accept()
            t.see("caller's port", caller[1] - t.port)
            t.call("recv", t.keep(s).recv, 10)

    def client(t):
        t.hear()
        for n in range(2):
            s = t.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((t.own, t.port + 5))
            t.call("connect", s.connect, t.address(n))
            t.call("send", s.send, b"x")
