"""FIN: who closes, who half-closes, and what each call says then."""

import select, signal, socket, time

from end import name_of, pattern
from table import ENDS, case


def raw_send(s, data):
    return s.send(data, socket.MSG_NOSIGNAL)


def write_until_error(t, label, s, patience=3.0):
    """Writes a byte now and then; the error that comes, and what comes after it."""
    deadline = time.monotonic() + patience
    outcome = "none"
    while time.monotonic() < deadline:
        try:
            raw_send(s, b"x")
        except OSError as error:
            outcome = name_of(error)
            break
        time.sleep(0.02)
    t.see(label, outcome)


@case(ENDS, "the caller closes first")
class CallerCloses:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        t.state("state", s)
        t.call("first send", raw_send, s, b"x")
        write_until_error(t, "send until", s)
        t.call("recv", s.recv, 1)

    def client(t):
        s = t.connected()
        s.sendall(b"bye")
        s.close()


@case(ENDS, "the server closes first")
class ServerCloses:
    def server(t):
        s = t.accepted()
        s.sendall(b"bye")
        s.close()

    def client(t):
        s = t.connected()
        t.drain("recv", s)
        t.state("state", s)
        t.call("first send", raw_send, s, b"x")
        write_until_error(t, "send until", s)
        t.call("recv", s.recv, 1)


@case(ENDS, "half-close by the caller; the server answers after it")
class CallerHalfCloses:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        t.settle(0.5)
        t.call("sendall", s.sendall, pattern(100000))
        s.close()

    def client(t):
        s = t.connected()
        s.sendall(b"request")
        t.call("shutdown", s.shutdown, socket.SHUT_WR)
        t.call("send", raw_send, s, b"x")
        t.drain("recv", s)
        t.call("shutdown again", s.shutdown, socket.SHUT_WR)


@case(ENDS, "half-close by the server; the caller goes on writing")
class ServerHalfCloses:
    def server(t):
        s = t.accepted()
        s.sendall(b"greeting")
        t.call("shutdown", s.shutdown, socket.SHUT_WR)
        t.drain("recv", s)

    def client(t):
        s = t.connected()
        t.drain("recv", s)
        t.settle(0.5)
        t.call("sendall", s.sendall, pattern(100000))
        s.close()


@case(ENDS, "half-closed for three seconds with nothing said")
class HalfClosedIdle:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        t.state("state", s)
        t.settle(3)
        t.state("state after it", s)
        t.call("send", s.send, b"late answer")

    def client(t):
        s = t.connected()
        s.shutdown(socket.SHUT_WR)
        t.settle()
        t.state("state", s)
        t.drain("recv", s)


@case(ENDS, "both half-close at once")
class BothHalfClose:
    def server(t):
        s = t.accepted()
        both_half_close(t, s)

    def client(t):
        both_half_close(t, t.connected())


def both_half_close(t, s):
    s.sendall(b"last words")
    t.meet()
    s.shutdown(socket.SHUT_WR)
    t.drain("recv", s)
    t.call("send", raw_send, s, b"x")
    t.await_events("poll", s, select.POLLHUP)


@case(ENDS, "both close at once, ten times")
class BothClose:
    def server(t):
        listener = t.listener()
        t.tell()
        for _ in range(10):
            s, _ = listener.accept()
            t.meet()
            s.close()
        t.call("accept one more", listener.accept()[0].recv, 10)

    def client(t):
        t.hear()
        for _ in range(10):
            s = t.socket()
            s.connect(t.address())
            t.meet()
            s.close()
        s = t.socket()
        s.connect(t.address())
        t.call("send", s.send, b"one more")


@case(ENDS, "shutdown of the reading half: the other end goes on writing")
class ReadShutdown:
    def server(t):
        s = t.accepted()
        t.call("shutdown", s.shutdown, socket.SHUT_RD)
        t.call("recv", s.recv, 1)
        t.meet()
        t.settle(0.3)
        t.call("recv of what came after", s.recv, 10)
        t.call("send", s.send, b"still here")
        t.meet()

    def client(t):
        s = t.connected()
        t.meet()
        t.call("send", s.send, b"hello")
        t.call("recv", s.recv, 20)
        t.meet()


@case(ENDS, "shutdown of both halves, then bytes from the other end")
class BothShutdown:
    def server(t):
        s = t.accepted()
        t.call("shutdown", s.shutdown, socket.SHUT_RDWR)
        t.call("recv", s.recv, 1)
        t.meet()
        t.settle(0.5)
        t.meet()

    def client(t):
        s = t.connected()
        t.call("recv", s.recv, 1)
        t.meet()
        t.call("send", raw_send, s, b"hello")
        t.meet()
        write_until_error(t, "send until", s)


@case(ENDS, "a second descriptor keeps the connection open")
class SecondDescriptor:
    def server(t):
        s = t.accepted()
        other = s.dup()
        s.close()
        t.meet()
        t.settle(0.3)
        t.call("recv", other.recv, 10)
        other.close()

    def client(t):
        s = t.connected()
        t.meet()
        t.events("poll", s, wait=0.3, mask=select.POLLIN)
        t.call("send", s.send, b"x")
        t.timed("recv", 2, s.recv, 1)


@case(ENDS, "a close at once on accept, 60 times: what the caller is told", limit=60)
class CloseOnAccept:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        for _ in range(60):
            listener.accept()[0].close()
        t.meet()

    def client(t):
        t.hear()
        outcomes = {}
        for _ in range(60):
            s = socket.socket()
            try:
                s.connect(t.address())
                told = f"connected, {s.recv(1)}"
            except OSError as error:
                told = name_of(error)
            outcomes[told] = outcomes.get(told, 0) + 1
            s.close()
        t.see("outcomes", str(outcomes))
        t.meet()


@case(ENDS, "connections that are closed at once, 60 times: what the server reads", limit=60)
class CloseAtOnce:
    def server(t):
        listener = t.listener(backlog=128)
        t.tell()
        outcomes = {}
        for _ in range(60):
            s, _ = listener.accept()
            try:
                told = str(s.recv(10))
            except OSError as error:
                told = name_of(error)
            outcomes[told] = outcomes.get(told, 0) + 1
        t.see("recv", str(outcomes))

    def client(t):
        t.hear()
        for _ in range(60):
            s = socket.socket()
            s.connect(t.address())
            s.close()


@case(ENDS, "1 MiB, a close at once, and a reader that takes its time", limit=40)
class CloseBehindBytes:
    def server(t):
        t.drain("recv", t.accepted(), slowly=0.02)

    def client(t):
        s = t.connected()
        s.sendall(pattern(1 << 20))
        s.close()


@case(ENDS, "SIGPIPE and EPIPE on a write after one's own shutdown")
class BrokenPipe:
    def server(t):
        t.accepted()
        t.meet()

    def client(t):
        s = t.connected()
        s.shutdown(socket.SHUT_WR)
        signals = []
        signal.signal(signal.SIGPIPE, lambda *_: signals.append(1))
        t.call("send", s.send, b"x")
        t.see("signals", len(signals))
        t.call("send with MSG_NOSIGNAL", raw_send, s, b"x")
        t.see("signals", len(signals))
        t.meet()
