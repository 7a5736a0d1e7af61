"""Where a program may listen, and how often."""

import socket

from names import look, accept
from table import ADDRESSES, case


@case(ADDRESSES, "a listener that is taken away and comes back (SO_REUSEADDR)")
class ListenerAgain:
    def server(t):
        for _ in range(3):
            listener = t.listener()
            t.tell()
            s, _ = listener.accept()
            t.call("recv", s.recv, 10)
            listener.close()
            s.close()

    def client(t):
        for _ in range(3):
            s = t.connected()
            t.call("send", s.send, b"x")
            t.call("recv", s.recv, 1)


@case(ADDRESSES, "two listeners on one port (SO_REUSEPORT) share the callers")
class ReusePort:
    def server(t):
        share = lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listeners = [t.listener(backlog=64, setup=share) for _ in range(2)]
        t.meet()
        t.hear()
        counts = []
        for listener in listeners:
            listener.setblocking(False)
            counts.append(0)
            try:
                while True:
                    t.keep(listener.accept()[0])
                    counts[-1] += 1
            except BlockingIOError:
                pass
        t.see("all", sum(counts))
        t.see("both have some", min(counts) > 0)
        t.meet()

    def client(t):
        t.meet()
        for _ in range(40):
            t.socket().connect(t.address())
        t.settle()
        t.tell()
        t.meet()


@case(ADDRESSES, "a listener on the instance's own address")
class OwnAddressListener:
    def server(t):
        accept(t, host=t.own)
        t.meet()

    def client(t):
        look(t, t.connected())
        t.meet()


@case(ADDRESSES, "a listener on loopback alone")
class LoopbackListener:
    def server(t):
        t.listener(host="127.0.0.1")
        t.meet()
        t.meet()

    def client(t):
        t.meet()
        t.timed("connect", 1, t.socket().connect, t.address())
        t.meet()


def ipv6(only):
    return lambda l: l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)


@case(ADDRESSES, "a listener on :: that takes IPv4 too")
class DualListener:
    def server(t):
        s, _ = accept(t, host="::", family=socket.AF_INET6, setup=ipv6(0))
        t.call("send", s.send, b"x")

    def client(t):
        s = t.connected()
        look(t, s)
        t.call("recv", s.recv, 10)


@case(ADDRESSES, "a listener on :: for IPv6 alone")
class IPv6OnlyListener:
    def server(t):
        t.listener(host="::", family=socket.AF_INET6, setup=ipv6(1))
        t.meet()
        t.meet()

    def client(t):
        t.meet()
        t.timed("connect", 1, t.socket().connect, t.address())
        t.meet()


@case(ADDRESSES, "one listener for IPv4 and one for IPv6 alone, on one port")
class TwoFamilies:
    def server(t):
        t.listener(host="::", family=socket.AF_INET6, setup=ipv6(1))
        accept(t)
        t.meet()

    def client(t):
        t.connected()
        t.meet()
