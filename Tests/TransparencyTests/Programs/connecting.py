"""How connect() goes, and what a caller is told where it does not."""

import errno, os, select, signal, socket

from end import name_of
from table import CONNECTING, case


@case(CONNECTING, "to a port where a program listens")
class Open:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 10)
        t.call("send", s.send, b"b")

    def client(t):
        t.hear()
        s = t.socket()
        t.timed("connect", 1, s.connect, t.address())
        t.call("send", s.send, b"a")
        t.call("recv", s.recv, 10)
        t.error("SO_ERROR", s)


@case(CONNECTING, "to a closed port, then again on the same socket")
class ClosedPort:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.timed("connect", 1, s.connect, t.address())
        t.error("SO_ERROR", s)
        t.events("poll", s)
        t.timed("connect again", 1, s.connect, t.address())
        t.call("send", s.send, b"x")
        t.call("recv", s.recv, 1)
        t.call("getpeername", s.getpeername)
        t.meet()


@case(CONNECTING, "to a closed port, without waiting")
class ClosedPortNonBlocking:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        s.setblocking(False)
        t.call("connect", s.connect, t.address())
        t.await_events("poll", s, select.POLLOUT)
        t.error("SO_ERROR", s)
        t.error("SO_ERROR, once more", s)
        t.events("poll after it", s)
        t.meet()


@case(CONNECTING, "without waiting")
class NonBlocking:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 10)
        t.meet()

    def client(t):
        t.hear()
        s = t.socket()
        s.setblocking(False)
        t.call("connect", s.connect, t.address())
        t.await_events("poll", s, select.POLLOUT)
        t.error("SO_ERROR", s)
        t.call("connect, to hear of it", s.connect, t.address())
        t.call("connect, once more", s.connect, t.address())
        t.call("send", s.send, b"abc")
        t.meet()


@case(CONNECTING, "a second time while connected")
class ConnectTwice:
    def server(t):
        t.accepted()
        t.meet()

    def client(t):
        s = t.connected()
        t.call("connect again", s.connect, t.address())
        t.call("connect elsewhere", s.connect, t.address(1))
        t.meet()


@case(CONNECTING, "to a port where a program begins to listen after two attempts")
class LaterListener:
    def server(t):
        t.hear()
        s = t.accepted()
        t.call("recv", s.recv, 10)

    def client(t):
        s = t.socket()
        t.call("connect", s.connect, t.address())
        t.call("connect again", s.connect, t.address())
        t.tell()
        t.hear()
        t.timed("connect when it listens", 1, s.connect, t.address())
        t.call("send", s.send, b"late")


@case(CONNECTING, "after the listening socket was closed; the connection before goes on")
class ListenerClosed:
    def server(t):
        listener = t.listener()
        t.tell()
        s, _ = listener.accept()
        listener.close()
        t.settle()
        t.meet()
        t.call("recv", s.recv, 10)

    def client(t):
        first = t.connected()
        t.meet()
        second = t.socket()
        t.timed("connect", 1, second.connect, t.address())
        t.call("send on the first", first.send, b"still")


@case(CONNECTING, "and the listening socket is closed before it accepts")
class ClosedBeforeAccept:
    def server(t):
        listener = t.listener()
        t.meet()
        t.hear()
        listener.close()

    def client(t):
        t.meet()
        s = t.socket()
        t.call("connect", s.connect, t.address())
        t.call("send", s.send, b"x")
        t.settle()
        t.tell()
        t.timed("recv", 2, s.recv, 1)
        t.events("poll", s)


@case(CONNECTING, "to a service without an instance; direct, to a closed port")
class NoInstance:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.timed("connect", 1, s.connect, (t.empty, t.port))
        t.error("SO_ERROR", s)
        second = t.socket()
        second.setblocking(False)
        code = second.connect_ex((t.empty, t.port))
        # A refusal may come at once or by way of poll(): both are TCP.
        if code == errno.EINPROGRESS:
            t.readable(second)
            code = second.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        t.see("connect without waiting", errno.errorcode.get(code, code))
        t.meet()


@case(CONNECTING, "to an address of the network that nobody has")
class NobodysAddress:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.call("connect", s.connect, ("198.18.200.9", t.port))
        t.meet()


@case(CONNECTING, "to an address outside the network")
class OutsideAddress:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.call("connect", s.connect, ("203.0.113.7", t.port))
        t.meet()


@case(CONNECTING, "by IPv6 to an address outside the network")
class OutsideIPv6:
    def server(t):
        t.meet()

    def client(t):
        t.call("connect", t.socket(socket.AF_INET6).connect, ("2001:db8::1", t.port))
        t.meet()


@case(CONNECTING, "to port 0")
class PortZero:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.timed("connect", 1, s.connect, (t.asked, 0))
        t.meet()


@case(CONNECTING, "twenty in a row: the server accepts them in their order")
class AcceptOrder:
    def server(t):
        listener = t.listener(backlog=32)
        t.meet()
        t.hear()
        t.see("order", "".join(t.keep(listener.accept()[0]).recv(1).decode() for _ in range(20)))

    def client(t):
        t.meet()
        for letter in "abcdefghijklmnopqrst":
            s = t.socket()
            s.connect(t.address())
            s.send(letter.encode())
        t.tell()


@case(CONNECTING, "to an open and to a closed port in turns, 20 times")
class InTurns:
    def server(t):
        t.keep(t.listener(backlog=64))
        t.tell()
        t.hear()

    def client(t):
        t.hear()
        outcomes = []
        for number in range(40):
            try:
                t.socket().connect(t.address(number % 2))
                outcomes.append("connected")
            except OSError as error:
                outcomes.append(name_of(error))
        t.see("outcomes", " ".join(outcomes[:4]) if outcomes == outcomes[:2] * 20 else " ".join(outcomes))
        t.tell()


@case(CONNECTING, "fifty times to a closed port, at once")
class ManyRefused:
    def server(t):
        t.meet()

    def client(t):
        sockets, outcomes = [t.socket() for _ in range(50)], {}
        for s in sockets:
            s.setblocking(False)
            s.connect_ex(t.address())
        for s in sockets:
            t.readable(s)
            code = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            name = errno.errorcode.get(code, str(code))
            outcomes[name] = outcomes.get(name, 0) + 1
        t.see("outcomes", str(outcomes))
        t.meet()


@case(CONNECTING, "to a server whose program ends and comes back")
class Restarted:
    def server(t):
        for number in range(2):
            ready, tell = os.pipe()
            if (process := os.fork()) == 0:
                listener = t.listener()
                os.write(tell, b"x")
                while True:
                    s, _ = listener.accept()
                    s.sendall(b"run %d" % number)
            os.read(ready, 1)
            t.tell()
            t.hear()
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            t.meet()
            t.hear()

    def client(t):
        for number in range(2):
            s = t.connected()
            t.call("recv", s.recv, 10)
            t.tell()
            t.meet()
            t.call("recv when it ended", s.recv, 10)
            t.call("connect when it ended", t.socket().connect, t.address())
            t.tell()
