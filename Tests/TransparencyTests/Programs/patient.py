"""Connects that wait: for room, for a program, for the other end; and those that are given up."""

import ctypes, errno, os, select, signal, socket, struct, time

from table import CONNECTING, case

LIBC = ctypes.CDLL(None, use_errno=True)


def disconnect(sock):
    """connect() to AF_UNSPEC, which Python does not offer."""
    if LIBC.connect(sock.fileno(), struct.pack("H14x", socket.AF_UNSPEC), 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")


@case(CONNECTING, "to a full backlog, which has room after two seconds", limit=40)
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


@case(CONNECTING, "to a backlog that stays full, with TCP_SYNCNT 1", limit=40)
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


@case(CONNECTING, "to a full backlog with SO_SNDTIMEO of one second")
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


@case(CONNECTING, "to a program that is stopped (SIGSTOP), and goes on later")
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


@case(CONNECTING, "to a listener with TCP_DEFER_ACCEPT")
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


@case(CONNECTING, "without waiting, and closed at once, ten times", limit=60)
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


@case(CONNECTING, "with MSG_FASTOPEN, and closed at once, ten times", limit=60)
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


@case(CONNECTING, "again on a socket that was disconnected (AF_UNSPEC)")
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


@case(CONNECTING, "from both ends, port to port (simultaneous open)")
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


@case(CONNECTING, "and a signal comes while it waits (EINTR)")
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
