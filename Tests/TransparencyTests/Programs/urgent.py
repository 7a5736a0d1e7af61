"""Urgent data: MSG_OOB, SO_OOBINLINE, SIOCATMARK, SIGURG."""

import fcntl, os, select, signal, socket, struct

from end import SIOCATMARK, pattern
from table import URGENT, case


def read_around(t, s):
    """`abc`, `U` as urgent, `def`: everything that a reader can read of it."""
    t.patience(s, 3)
    t.await_events("poll", s, select.POLLIN)
    t.settle(0.3)
    t.call("recv to the mark", s.recv, 100)
    t.ioctl("SIOCATMARK", s, SIOCATMARK)
    t.call("recv of the urgent byte", s.recv, 1, socket.MSG_OOB)
    t.call("recv behind it", s.recv, 100)


@case(URGENT, "abc, U as urgent, def")
class OutOfBand:
    def server(t):
        read_around(t, t.accepted())
        t.meet()

    def client(t):
        s = t.connected()
        s.sendall(b"abc")
        t.call("send of the urgent byte", s.send, b"U", socket.MSG_OOB)
        s.sendall(b"def")
        t.meet()


@case(URGENT, "the same from the server")
class ServerOutOfBand:
    def server(t):
        s = t.accepted()
        s.sendall(b"abc")
        t.call("send of the urgent byte", s.send, b"U", socket.MSG_OOB)
        s.sendall(b"def")
        t.meet()

    def client(t):
        read_around(t, t.connected())
        t.meet()


@case(URGENT, "the same with SO_OOBINLINE")
class Inline:
    def server(t):
        s = t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1))
        t.patience(s, 3)
        t.meet()
        t.settle(0.3)
        t.call("recv to the mark", s.recv, 100)
        t.ioctl("SIOCATMARK", s, SIOCATMARK)
        t.call("recv with MSG_OOB", s.recv, 1, socket.MSG_OOB)
        t.call("recv behind it", s.recv, 100)
        t.ioctl("SIOCATMARK after it", s, SIOCATMARK)

    def client(t):
        s = t.connected()
        s.sendall(b"abc")
        s.send(b"U", socket.MSG_OOB)
        s.sendall(b"def")
        t.meet()


@case(URGENT, "an urgent byte alone: POLLPRI, select, SIGURG")
class UrgentEvents:
    def server(t):
        s = t.accepted()
        count = []
        signal.signal(signal.SIGURG, lambda *_: count.append(1))
        fcntl.fcntl(s, fcntl.F_SETOWN, os.getpid())
        t.meet()
        t.await_events("poll", s, select.POLLPRI)
        t.see("select", [len(found) for found in select.select([s], [], [s], 0.5)])
        t.see("SIGURG", len(count) > 0)
        t.call("recv of the urgent byte", s.recv, 1, socket.MSG_OOB)
        t.call("recv of it again", s.recv, 1, socket.MSG_OOB)
        t.call("recv without waiting", s.recv, 10, socket.MSG_DONTWAIT)
        t.events("poll after it", s)
        t.meet()

    def client(t):
        s = t.connected()
        t.meet()
        t.call("send", s.send, b"U", socket.MSG_OOB)
        t.meet()


@case(URGENT, "two urgent bytes: the second takes the first one's place")
class TwoUrgent:
    def server(t):
        s = t.accepted()
        t.patience(s, 3)
        t.meet()
        t.settle(0.5)
        t.call("recv", s.recv, 100)
        t.call("recv of the urgent byte", s.recv, 1, socket.MSG_OOB)
        t.call("recv behind it", s.recv, 100)

    def client(t):
        s = t.connected()
        s.sendall(b"a")
        s.send(b"U", socket.MSG_OOB)
        s.sendall(b"b")
        s.send(b"V", socket.MSG_OOB)
        s.sendall(b"c")
        t.meet()


@case(URGENT, "an urgent byte before the end")
class UrgentEnd:
    def server(t):
        s = t.accepted()
        t.meet()
        t.settle(0.5)
        t.call("recv of the urgent byte", s.recv, 1, socket.MSG_OOB)
        t.drain("recv", s)

    def client(t):
        s = t.connected()
        s.sendall(b"abc")
        s.send(b"U", socket.MSG_OOB)
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(URGENT, "an urgent byte alone on a new connection, 40 times")
class UrgentFirst:
    def server(t):
        listener = t.listener()
        t.tell()
        outcomes = {}
        for _ in range(40):
            s, _ = listener.accept()
            select.select([s], [], [s], 3)
            t.settle(0.02)
            try:
                outcome = f"urgent {s.recv(1, socket.MSG_OOB)}"
            except OSError:
                outcome = f"ordinary {s.recv(1, socket.MSG_DONTWAIT)}" if t.readable(s, 0) else "nothing"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            t.tell()
        t.see("outcomes", str(outcomes))

    def client(t):
        t.hear()
        for _ in range(40):
            s = t.socket()
            s.connect(t.address())
            s.send(b"U", socket.MSG_OOB)
            t.hear()


@case(URGENT, "40 urgent bytes on one connection, each among 100 others")
class UrgentAmong:
    def server(t):
        s = t.accepted()
        t.patience(s, 5)
        outcomes, count = {}, 0
        for _ in range(40):
            select.select([], [], [s], 3)
            t.settle(0.02)
            try:
                outcome = f"urgent {s.recv(1, socket.MSG_OOB)}"
            except OSError as error:
                outcome = "nothing urgent"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            t.tell()
            t.hear()
        while count < 40 * 100 and (data := s.recv(10000)):
            count += len(data)
        t.see("outcomes", str(outcomes))
        t.see("others", count)

    def client(t):
        s = t.connected()
        for _ in range(40):
            s.sendall(pattern(50))
            s.send(b"U", socket.MSG_OOB)
            s.sendall(pattern(50))
            t.hear()
            t.tell()


@case(URGENT, "MSG_OOB with no urgent byte there")
class NoUrgent:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 1, socket.MSG_OOB)
        t.ioctl("SIOCATMARK", s, SIOCATMARK)
        t.meet()

    def client(t):
        t.connected()
        t.meet()
