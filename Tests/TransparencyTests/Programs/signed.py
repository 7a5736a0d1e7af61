"""TCP_MD5SIG."""

import select, socket, struct

from table import OPTIONS, case

TCP = socket.IPPROTO_TCP


def signature(address, key):
    """struct tcp_md5sig."""
    return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address)).ljust(128, b"\0") + struct.pack(
        "BBHI", 0, 0, len(key), 0) + key.ljust(80, b"\0")


@case(OPTIONS, "TCP_MD5SIG: both ends have the key for the address that they know")
class Signed:
    def server(t):
        listener = t.listener(setup=lambda l: t.call(
            "setsockopt", l.setsockopt, TCP, 14, signature(t.peer, b"secret")))
        t.meet()
        t.await_events("poll", listener, select.POLLIN, patience=3)
        t.meet()

    def client(t):
        s = t.socket()
        t.call("setsockopt", s.setsockopt, TCP, 14, signature(t.asked, b"secret"))
        t.meet()
        s.settimeout(3)
        t.call("connect", s.connect, t.address())
        t.meet()


@case(OPTIONS, "TCP_MD5SIG of the server alone: the caller is not answered")
class Unsigned:
    def server(t):
        listener = t.listener(setup=lambda l: t.call(
            "setsockopt", l.setsockopt, TCP, 14, signature(t.peer, b"secret")))
        t.meet()
        t.events("poll", listener, wait=2.5, mask=select.POLLIN)
        t.meet()

    def client(t):
        s = t.socket()
        t.meet()
        s.settimeout(2)
        t.call("connect", s.connect, t.address())
        t.meet()
