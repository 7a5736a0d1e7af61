"""Whom each end sees."""

import socket, struct

from end import reset
from table import ADDRESSES, case


def look(t, s):
    t.see("getsockname", t.who(s.getsockname()))
    t.see("getpeername", t.who(s.getpeername()))


def accept(t, **options):
    listener = t.listener(**options)
    t.tell()
    s, caller = listener.accept()
    t.see("accept", t.who(caller))
    look(t, s)
    return t.keep(s), caller


@case(ADDRESSES, "names at both ends: the caller's instance address, and the address asked for")
class Names:
    def server(t):
        s, _ = accept(t)
        t.meet()
        t.drain("recv", s)
        t.see("getpeername after the end", t.who(s.getpeername()))

    def client(t):
        s = t.socket()
        t.see("getsockname of a new socket", t.who(s.getsockname()))
        t.hear()
        s.connect(t.address())
        look(t, s)
        t.meet()
        s.shutdown(socket.SHUT_WR)
        t.see("getpeername after shutdown", t.who(s.getpeername()))


@case(ADDRESSES, "names by the server's instance address")
class NamesByInstance:
    def server(t):
        s, _ = accept(t)
        t.call("recv", s.recv, 10)

    def client(t):
        t.asked = t.peer
        s = t.connected()
        look(t, s)
        t.call("send", s.send, b"x")


@case(ADDRESSES, "names after a reset")
class NamesAfterReset:
    def server(t):
        s, _ = accept(t)
        t.hear()
        reset(s)

    def client(t):
        s = t.connected()
        t.tell()
        t.call("recv", s.recv, 1)
        t.call("getpeername", s.getpeername)
        t.see("getsockname", t.who(s.getsockname()))


@case(ADDRESSES, "the server calls the caller back")
class Back:
    def server(t):
        s, caller = accept(t)
        t.hear()
        back = t.socket()
        t.timed("connect", 1, back.connect, (caller[0], t.port + 1))
        t.call("recv", back.recv, 10)

    def client(t):
        listener = t.listener(offset=1)
        t.connected()
        t.tell()
        s, caller = listener.accept()
        t.see("accept", "the server" if caller[0] == t.peer else caller[0])
        t.call("send", s.send, b"back")


@case(ADDRESSES, "the SYN that the server may save (TCP_SAVE_SYN)")
class SavedSYN:
    def server(t):
        s, caller = accept(t, setup=lambda l: l.setsockopt(socket.IPPROTO_TCP, 27, 1))
        syn = s.getsockopt(socket.IPPROTO_TCP, 28, 120)
        t.see("its source", t.who((socket.inet_ntoa(syn[12:16]), 1)))
        t.see("its destination", t.who((socket.inet_ntoa(syn[16:20]), t.port)))
        t.see("its ports are the connection's", struct.unpack("!HH", syn[20:24]) == (caller[1], t.port))

    def client(t):
        t.connected()


@case(ADDRESSES, "the connection as /proc/net/tcp lists it")
class Listed:
    def server(t):
        s, _ = accept(t)
        t.see("listed", listed(t, s))
        t.meet()

    def client(t):
        s = t.connected()
        t.see("listed", listed(t, s))
        t.meet()


def listed(t, s):
    """Who the other end is, in the kernel's own list."""
    port = f"{s.getsockname()[1]:04X}"
    with open("/proc/net/tcp") as file:
        for line in file:
            _, local, remote, state = line.split()[:4]
            if local.endswith(":" + port) and state == "01":
                host, port = remote.split(":")
                return t.who((socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)))
    return "not there"


@case(ADDRESSES, "no trace of a translation (SO_ORIGINAL_DST)")
class OriginalDestination:
    def server(t):
        s, _ = accept(t)
        t.call("getsockopt", s.getsockopt, socket.IPPROTO_IP, 80, 16)
        t.meet()

    def client(t):
        s = t.connected()
        t.call("getsockopt", s.getsockopt, socket.IPPROTO_IP, 80, 16)
        t.meet()


@case(ADDRESSES, "bind to an address that is not one's own")
class ForeignBind:
    def server(t):
        pass

    def client(t):
        t.call("bind", t.socket().bind, (t.peer, 0))
        t.call("bind to the asked", t.socket().bind, (t.asked, 0))


@case(ADDRESSES, "an IPv6 socket to the IPv4-mapped address")
class Mapped:
    def server(t):
        s, _ = accept(t)
        t.call("send", s.send, b"x")

    def client(t):
        t.hear()
        s = t.socket(socket.AF_INET6)
        t.timed("connect", 1, s.connect, ("::ffff:" + t.asked, t.port))
        look(t, s)
        t.call("recv", s.recv, 10)


@case(ADDRESSES, "an IPv6 socket bound to its own IPv4-mapped address")
class MappedBound:
    def server(t):
        accept(t)

    def client(t):
        t.hear()
        s = t.socket(socket.AF_INET6)
        t.call("bind", s.bind, ("::ffff:" + t.own, t.port + 5))
        t.call("connect", s.connect, ("::ffff:" + t.asked, t.port))
        look(t, s)


@case(ADDRESSES, "an IPv6 socket to the IPv4-mapped address of a closed port")
class MappedClosedPort:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket(socket.AF_INET6)
        t.timed("connect", 1, s.connect, ("::ffff:" + t.asked, t.port))
        t.meet()
