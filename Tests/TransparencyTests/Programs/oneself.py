"""Connects to oneself."""

from table import CONNECTING, case


@case(CONNECTING, "from loopback's address")
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


@case(CONNECTING, "to oneself, by one's own address")
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


@case(CONNECTING, "to one's own service, whose only instance one is")
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


@case(CONNECTING, "to the very address and port that the socket is bound to")
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


@case(CONNECTING, "by way of loopback, within the instance")
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
