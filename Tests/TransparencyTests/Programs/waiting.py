"""What poll, epoll and select report, and when."""

import fcntl, os, select, signal, socket, struct, time

from end import name_of, pattern, reset
from table import WAITING, case


@case(WAITING, "poll on a new socket, a listener and a new connection")
class NewSockets:
    def server(t):
        listener = t.listener()
        t.events("listener", listener)
        t.tell()
        t.await_events("listener with a caller", listener, select.POLLIN)
        s, _ = listener.accept()
        t.events("accepted", s)
        t.events("listener without one", listener)
        t.meet()

    def client(t):
        s = t.socket()
        t.events("new", s)
        t.hear()
        s.connect(t.address())
        t.events("connected", s)
        t.meet()


@case(WAITING, "poll when the other end has half-closed, and when both have")
class HalfClosedPoll:
    def server(t):
        s = t.accepted()
        t.await_events("half-closed", s, select.POLLIN)
        s.shutdown(socket.SHUT_WR)
        t.await_events("both", s, select.POLLHUP)
        t.meet()

    def client(t):
        s = t.connected()
        s.shutdown(socket.SHUT_WR)
        t.await_events("own half", s, select.POLLHUP)
        t.meet()


@case(WAITING, "poll with bytes and the end behind them")
class BytesAndEnd:
    def server(t):
        s = t.accepted()
        t.await_events("both", s, 0x2001)
        t.call("recv", s.recv, 10)
        t.events("the end", s)
        t.call("recv", s.recv, 10)
        t.events("after the end", s)
        t.meet()

    def client(t):
        s = t.connected()
        s.sendall(b"bytes")
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(WAITING, "poll after a reset")
class ResetPoll:
    def server(t):
        s = t.accepted()
        reset(s)
        t.meet()

    def client(t):
        s = t.connected()
        t.await_events("reset", s, select.POLLHUP)
        t.call("recv", s.recv, 1)
        t.events("after the error", s)
        t.meet()


@case(WAITING, "poll for room: none, then some", limit=60)
class Room:
    def server(t):
        s = t.accepted()
        t.hear()
        count = 0
        s.settimeout(1)
        try:
            while data := s.recv(1 << 20):
                count += len(data)
        except TimeoutError:
            pass
        t.tell()
        t.meet()

    def client(t):
        s = t.connected()
        s.setblocking(False)
        for _ in range(100):
            try:
                while True:
                    s.send(pattern(65536))
            except BlockingIOError:
                pass
            time.sleep(0.02)
        t.events("full", s)
        t.tell()
        t.hear()
        t.events("when it was read", s)
        t.meet()


def edges(t, label, epoll, wait=3.0):
    found = epoll.poll(wait)
    names = {getattr(select, n): n for n in ("EPOLLIN", "EPOLLOUT", "EPOLLERR", "EPOLLHUP", "EPOLLRDHUP", "EPOLLPRI")}
    t.see(label, [" ".join(n for bit, n in names.items() if bit & bits) for _, bits in found])


@case(WAITING, "epoll, edge-triggered: connect, bytes, more bytes, end")
class Edges:
    def server(t):
        s = t.accepted()
        for data in (b"one", b"two"):
            t.hear()
            s.sendall(data)
        t.hear()
        s.shutdown(socket.SHUT_WR)
        t.meet()

    def client(t):
        t.hear()
        s = t.socket()
        s.setblocking(False)
        epoll = select.epoll()
        t.call("connect", s.connect, t.address())
        t.settle()
        epoll.register(s, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        edges(t, "connected", epoll)
        edges(t, "nothing new", epoll, 0.2)
        for label in ("bytes", "more bytes", "the end"):
            t.tell()
            edges(t, label, epoll)
        t.drain("recv", s)
        edges(t, "nothing more", epoll, 0.2)
        t.meet()


@case(WAITING, "epoll, edge-triggered: a reset")
class ResetEdge:
    def server(t):
        s = t.accepted()
        t.hear()
        reset(s)
        t.meet()

    def client(t):
        s = t.connected()
        epoll = select.epoll()
        epoll.register(s, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)
        edges(t, "nothing", epoll, 0.2)
        t.tell()
        # The kernel wakes twice for one reset: a program that is quick sees two edges.
        t.readable(s)
        t.settle()
        edges(t, "reset", epoll)
        edges(t, "nothing more", epoll, 0.2)
        t.meet()


@case(WAITING, "epoll with EPOLLONESHOT")
class OneShot:
    def server(t):
        s = t.accepted()
        s.sendall(b"one")
        t.hear()
        s.sendall(b"two")
        t.meet()

    def client(t):
        s = t.connected()
        epoll = select.epoll()
        epoll.register(s, select.EPOLLIN | select.EPOLLONESHOT)
        edges(t, "bytes", epoll)
        t.tell()
        edges(t, "nothing", epoll, 0.5)
        epoll.modify(s, select.EPOLLIN | select.EPOLLONESHOT)
        edges(t, "armed again", epoll)
        t.meet()


@case(WAITING, "epoll on a listener, edge-triggered, with three callers")
class ListenerEdges:
    def server(t):
        listener = t.listener()
        listener.setblocking(False)
        epoll = select.epoll()
        epoll.register(listener, select.EPOLLIN | select.EPOLLET)
        t.tell()
        t.hear()
        edges(t, "callers", epoll)
        count = 0
        try:
            while True:
                t.keep(listener.accept()[0])
                count += 1
        except BlockingIOError:
            pass
        t.see("accepted", count)
        edges(t, "nothing more", epoll, 0.2)
        t.meet()

    def client(t):
        t.hear()
        for _ in range(3):
            t.socket().connect(t.address())
        t.settle()
        t.tell()
        t.meet()


@case(WAITING, "select on a connection with bytes, and after its end")
class Select:
    def server(t):
        s = t.accepted()
        s.sendall(b"x")
        t.hear()
        s.close()
        t.meet()

    def client(t):
        s = t.connected()
        t.readable(s)
        t.see("bytes", [len(found) for found in select.select([s], [s], [s], 1)])
        s.recv(1)
        t.see("nothing", [len(found) for found in select.select([s], [s], [s], 0.2)])
        t.tell()
        t.readable(s)
        t.see("the end", [len(found) for found in select.select([s], [s], [s], 1)])
        t.meet()


@case(WAITING, "SIGIO for a connection's bytes and end (O_ASYNC)")
class SignalIO:
    def server(t):
        s = t.accepted()
        t.meet()
        s.sendall(b"x")
        t.meet()
        t.meet()
        s.close()
        t.meet()

    def client(t):
        s = t.connected()
        count = []
        signal.signal(signal.SIGIO, lambda *_: count.append(1))
        fcntl.fcntl(s, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(s, fcntl.F_SETFL, fcntl.fcntl(s, fcntl.F_GETFL) | os.O_ASYNC)
        t.meet()
        t.meet()
        t.settle(0.3)
        t.see("for bytes", len(count) > 0)
        t.call("recv", s.recv, 10)
        count.clear()
        t.meet()
        t.meet()
        t.settle(0.3)
        t.see("for the end", len(count) > 0)


@case(WAITING, "a program that waits in recv, and another thread that shuts down")
class ShutdownWakes:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)

    def client(t):
        import threading

        s = t.connected()
        threading.Timer(0.5, lambda: s.shutdown(socket.SHUT_RDWR)).start()
        t.took("recv", 0.3, 3, s.recv, 1)


@case(WAITING, "shutdown of a listener wakes accept")
class ListenerShutdown:
    def server(t):
        import threading

        listener = t.listener()
        threading.Timer(0.5, lambda: listener.shutdown(socket.SHUT_RDWR)).start()
        t.took("accept", 0.3, 3, listener.accept)
        t.meet()

    def client(t):
        t.meet()
        t.timed("connect after it", 1, t.socket().connect, t.address())
