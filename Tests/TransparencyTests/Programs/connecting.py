"""How connect() goes, and what a caller is told where it does not."""

import ctypes, errno, os, select, signal, socket, struct, time

from end import name_of, pattern, reset
from table import case

GROUP = "Connecting"
LIBC = ctypes.CDLL(None, use_errno=True)


def disconnect(sock):
    """connect() to AF_UNSPEC, which Python does not offer."""
    if LIBC.connect(sock.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


@case(GROUP, "to a port where a program listens")
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


@case(GROUP, "to a closed port, then again on the same socket")
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


@case(GROUP, "to a closed port, without waiting")
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


@case(GROUP, "without waiting")
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


@case(GROUP, "a second time while connected")
class ConnectTwice:
    def server(t):
        t.accepted()
        t.meet()

    def client(t):
        s = t.connected()
        t.call("connect again", s.connect, t.address())
        t.call("connect elsewhere", s.connect, t.address(1))
        t.meet()


@case(GROUP, "to a port where a program begins to listen after two attempts")
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


@case(GROUP, "after the listening socket was closed; the connection before goes on")
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


@case(GROUP, "and the listening socket is closed before it accepts")
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


@case(GROUP, "to a full backlog, which has room after two seconds", limit=40)
class FullBacklog:
    def server(t):
        listener = t.listener(backlog=1)
        t.meet()
        t.hear()
        accepted = [listener.accept()[0] for _ in range(4)]
        t.see("accepted", len(accepted))
        t.hear()

    def client(t):
        t.meet()
        first = [t.socket() for _ in range(2)]
        for s in first:
            t.call("connect", s.connect, t.address())
        t.settle()
        later = [t.socket() for _ in range(2)]
        for s in later:
            s.setblocking(False)
            t.call("connect beyond it", s.connect, t.address())
        for s in later:
            t.events("poll", s, wait=1.0)
        t.tell()
        for s in later:
            t.await_events("poll when there is room", s, select.POLLOUT, patience=15)
            t.error("SO_ERROR", s)
        t.tell()


@case(GROUP, "to a backlog that stays full, with TCP_SYNCNT 1", limit=40)
class FullBacklogGivenUp:
    def server(t):
        t.listener(backlog=0)
        t.meet()
        t.hear()

    def client(t):
        t.meet()
        first = t.socket()
        t.call("connect", first.connect, t.address())
        t.settle()
        s = t.socket()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        t.took("connect beyond it", 1.5, 9, s.connect, t.address())
        t.tell()


@case(GROUP, "to a full backlog with SO_SNDTIMEO of one second")
class ConnectTimeout:
    def server(t):
        t.listener(backlog=0)
        t.meet()
        t.hear()

    def client(t):
        t.meet()
        first = t.socket()
        t.call("connect", first.connect, t.address())
        t.settle()
        s = t.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
        t.took("connect beyond it", 0.9, 3, s.connect, t.address())
        t.tell()


@case(GROUP, "to a service without an instance; direct, to a closed port")
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


@case(GROUP, "to an address of the network that nobody has")
class NobodysAddress:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.call("connect", s.connect, ("198.18.200.9", t.port))
        t.meet()


@case(GROUP, "to an address outside the network")
class OutsideAddress:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.call("connect", s.connect, ("203.0.113.7", t.port))
        t.meet()


@case(GROUP, "to port 0")
class PortZero:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.timed("connect", 1, s.connect, (t.asked, 0))
        t.meet()


@case(GROUP, "to a program that is stopped (SIGSTOP), and goes on later")
class StoppedProgram:
    def server(t):
        listener = t.listener()
        process = os.fork()
        if process == 0:
            s, _ = listener.accept()
            s.sendall(b"answer")
            time.sleep(20)
            os._exit(0)
        os.kill(process, signal.SIGSTOP)
        t.meet()
        t.hear()
        os.kill(process, signal.SIGCONT)
        t.hear()
        os.kill(process, signal.SIGKILL)

    def client(t):
        t.meet()
        s = t.socket()
        t.timed("connect", 1, s.connect, t.address())
        t.call("send", s.send, b"question")
        t.events("poll", s, wait=0.5, mask=select.POLLIN)
        t.tell()
        t.call("recv when it goes on", s.recv, 10)
        t.tell()


@case(GROUP, "with MSG_FASTOPEN")
class FastOpen:
    def server(t):
        s = t.accepted(setup=lambda l: l.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5))
        t.see("recv", t.exactly(s, 5))
        t.call("send", s.send, b"world")

    def client(t):
        t.hear()
        s = t.socket()
        t.timed("sendto", 1, s.sendto, b"hello", socket.MSG_FASTOPEN, t.address())
        t.call("recv", s.recv, 10)
        t.see("getpeername", t.who(s.getpeername()))


@case(GROUP, "with MSG_FASTOPEN to a closed port")
class FastOpenClosedPort:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.timed("sendto", 1, s.sendto, b"hello", socket.MSG_FASTOPEN, t.address())
        t.meet()


@case(GROUP, "with MSG_FASTOPEN, without waiting")
class FastOpenNonBlocking:
    def server(t):
        s = t.accepted()
        t.see("recv", t.exactly(s, 5))

    def client(t):
        t.hear()
        s = t.socket()
        s.setblocking(False)
        t.call("sendto", s.sendto, b"hello", socket.MSG_FASTOPEN, t.address())
        t.await_events("poll", s, select.POLLOUT)
        t.call("send", s.send, b"hello")


@case(GROUP, "with TCP_FASTOPEN_CONNECT")
class FastOpenConnect:
    def server(t):
        s = t.accepted()
        t.see("recv", t.exactly(s, 5))
        t.call("send", s.send, b"world")

    def client(t):
        t.hear()
        s = t.socket()
        t.call("setsockopt", s.setsockopt, socket.IPPROTO_TCP, 30, 1)
        t.timed("connect", 1, s.connect, t.address())
        t.call("send", s.send, b"hello")
        t.call("recv", s.recv, 10)


@case(GROUP, "to a listener with TCP_DEFER_ACCEPT")
class DeferAccept:
    def server(t):
        listener = t.listener(
            setup=lambda l: l.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        )
        t.meet()
        t.meet()
        t.events("poll before any byte", listener, wait=0.5)
        t.meet()
        t.await_events("poll after it", listener, select.POLLIN)
        s, _ = listener.accept()
        t.call("recv", s.recv, 10)

    def client(t):
        t.meet()
        s = t.socket()
        t.timed("connect", 1, s.connect, t.address())
        t.meet()
        t.meet()
        t.call("send", s.send, b"first")


def what_is_left(t, listener):
    """Whether something that was accepted stays open."""
    t.hear()
    open_ones = 0
    while t.readable(listener, 1.5):
        s, _ = listener.accept()
        if not t.readable(s, 3):
            open_ones += 1
    t.see("connections that stay open", open_ones)


@case(GROUP, "without waiting, and closed at once, ten times", limit=60)
class GivenUp:
    def server(t):
        listener = t.listener()
        t.tell()
        what_is_left(t, listener)
        t.tell()

    def client(t):
        t.hear()
        for _ in range(10):
            s = t.socket()
            s.setblocking(False)
            s.connect_ex(t.address())
            s.close()
        t.tell()
        t.hear()


@case(GROUP, "with MSG_FASTOPEN, and closed at once, ten times", limit=60)
class FastOpenGivenUp:
    def server(t):
        listener = t.listener()
        t.tell()
        what_is_left(t, listener)
        t.tell()

    def client(t):
        t.hear()
        for _ in range(10):
            s = t.socket()
            s.setblocking(False)
            try:
                s.sendto(b"hello", socket.MSG_FASTOPEN, t.address())
            except BlockingIOError:
                pass
            s.close()
        t.tell()
        t.hear()


@case(GROUP, "again on a socket that was disconnected (AF_UNSPEC)")
class Disconnected:
    def server(t):
        listener = t.listener()
        t.tell()
        first, _ = listener.accept()
        t.drain("the first connection", first)
        second, _ = listener.accept()
        t.call("recv on the second", second.recv, 10)

    def client(t):
        s = t.connected()
        s.send(b"one")
        t.settle()
        t.call("disconnect", disconnect, s)
        t.call("getpeername", s.getpeername)
        t.timed("connect", 1, s.connect, t.address())
        t.see("getpeername when connected", t.who(s.getpeername()))
        t.call("send", s.send, b"two")


@case(GROUP, "from loopback's address")
class FromLoopback:
    def server(t):
        t.listener()
        t.meet()
        t.meet()

    def client(t):
        t.meet()
        s = t.socket()
        t.call("bind", s.bind, ("127.0.0.1", 0))
        t.timed("connect", 1, s.connect, t.address())
        t.meet()


@case(GROUP, "to oneself, by one's own address")
class Oneself:
    def server(t):
        t.meet()

    def client(t):
        listener = t.listener()
        s = t.socket()
        t.timed("connect", 1, s.connect, (t.own, t.port))
        accepted, caller = listener.accept()
        t.see("accept", t.who(caller))
        t.see("getsockname", t.who(s.getsockname()))
        t.see("getpeername", t.who(s.getpeername()))
        s.sendall(b"me")
        t.call("recv", accepted.recv, 10)
        t.meet()


@case(GROUP, "to one's own service, whose only instance one is")
class OwnService:
    def server(t):
        t.meet()

    def client(t):
        listener = t.listener()
        s = t.socket()
        t.timed("connect", 1, s.connect, (t.own_asked, t.port))
        accepted, caller = listener.accept()
        t.see("accept", t.who(caller))
        s.sendall(b"me")
        t.call("recv", accepted.recv, 10)
        accepted.close()
        t.call("recv at the end", s.recv, 10)
        t.meet()


@case(GROUP, "to the very address and port that the socket is bound to")
class SelfConnected:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        s.bind((t.own, t.port))
        t.timed("connect", 1, s.connect, (t.own, t.port))
        t.call("send", s.send, b"me")
        t.call("recv", s.recv, 10)
        t.meet()


@case(GROUP, "by way of loopback, within the instance")
class Loopback:
    def server(t):
        t.meet()

    def client(t):
        listener = t.listener(host="127.0.0.1")
        s = t.socket()
        t.timed("connect", 1, s.connect, ("127.0.0.1", t.port))
        accepted, caller = listener.accept()
        t.see("accept", t.who(caller))
        t.see("getpeername", t.who(s.getpeername()))
        t.meet()


@case(GROUP, "from both ends, port to port (simultaneous open)")
class SimultaneousOpen:
    """The server's port is that of a full backlog first, so that the caller's SYN is not answered; then the
    server calls the caller from it."""

    def server(t):
        listener = t.listener(backlog=0)
        t.meet()
        t.hear()
        listener.close()
        s = t.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((t.own, t.port))
        s.settimeout(5)
        t.call("connect", s.connect, (t.peer, t.port + 5))
        s.sendall(b"x")
        t.call("recv", s.recv, 1)
        t.meet()

    def client(t):
        t.asked = t.peer
        t.meet()
        first = t.socket()
        first.connect(t.address())
        t.settle()
        s = t.socket()
        s.bind((t.own, t.port + 5))
        s.setblocking(False)
        t.call("connect", s.connect, t.address())
        t.settle()
        t.tell()
        t.await_events("poll", s, select.POLLIN, patience=8)
        s.setblocking(True)
        t.call("send", s.send, b"y")
        t.call("recv", s.recv, 1)
        t.meet()


@case(GROUP, "fifty times to a closed port, at once")
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


@case(GROUP, "and a signal comes while it waits (EINTR)")
class Interrupted:
    def server(t):
        t.listener(backlog=0)
        t.meet()
        t.hear()

    def client(t):
        t.meet()
        first = t.socket()
        first.connect(t.address())
        t.settle()
        s = t.socket()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
        address = struct.pack("!2s H4s8x", struct.pack("H", 2), t.port, socket.inet_aton(t.asked))
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.siginterrupt(signal.SIGUSR1, True)
        if (process := os.fork()) == 0:
            time.sleep(0.5)
            os.kill(os.getppid(), signal.SIGUSR1)
            os._exit(0)
        code = LIBC.connect(s.fileno(), address, 16)
        t.see("connect", errno.errorcode.get(ctypes.get_errno()) if code else 0)
        s.setblocking(False)
        t.call("connect again", s.connect, t.address())
        os.waitpid(process, 0)
        t.tell()


@case(GROUP, "by IPv6 to an address outside the network")
class OutsideIPv6:
    def server(t):
        t.meet()

    def client(t):
        t.call("connect", t.socket(socket.AF_INET6).connect, ("2001:db8::1", t.port))
        t.meet()


@case(GROUP, "twenty in a row: the server accepts them in their order")
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


@case(GROUP, "to an open and to a closed port in turns, 20 times")
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


@case(GROUP, "to a server whose program ends and comes back")
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
