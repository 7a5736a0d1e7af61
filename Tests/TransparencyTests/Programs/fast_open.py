"""TCP Fast Open."""

import select, socket

from table import CONNECTING, case


@case(CONNECTING, "with MSG_FASTOPEN")
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


@case(CONNECTING, "with MSG_FASTOPEN to a closed port")
class FastOpenClosedPort:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket()
        t.timed("sendto", 1, s.sendto, b"hello", socket.MSG_FASTOPEN, t.address())
        t.meet()


@case(CONNECTING, "with MSG_FASTOPEN, without waiting")
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


@case(CONNECTING, "with TCP_FASTOPEN_CONNECT")
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
