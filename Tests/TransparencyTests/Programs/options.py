"""Options of sockets: what they are on a new connection, and what may be set."""

import socket, struct

from end import name_of, pattern
from table import OPTIONS, case

TCP, IP, SOCKET = socket.IPPROTO_TCP, socket.IPPROTO_IP, socket.SOL_SOCKET


# Those whose value is the path's own (SO_COOKIE, SO_INCOMING_CPU and such) are not among them.
READ = {
    "SO_ACCEPTCONN": (SOCKET, 30), "SO_BROADCAST": (SOCKET, 6), "SO_DOMAIN": (SOCKET, 39),
    "SO_DONTROUTE": (SOCKET, 5), "SO_KEEPALIVE": (SOCKET, 9), "SO_LOCK_FILTER": (SOCKET, 44),
    "SO_MARK": (SOCKET, 36), "SO_OOBINLINE": (SOCKET, 10), "SO_PRIORITY": (SOCKET, 12),
    "SO_PROTOCOL": (SOCKET, 38), "SO_RCVBUF": (SOCKET, 8), "SO_RCVLOWAT": (SOCKET, 18),
    "SO_REUSEADDR": (SOCKET, 2), "SO_REUSEPORT": (SOCKET, 15), "SO_BUSY_POLL": (SOCKET, 46),
    "SO_TIMESTAMP": (SOCKET, 29), "SO_TYPE": (SOCKET, 3), "SO_BINDTOIFINDEX": (SOCKET, 62),
    "SO_ZEROCOPY": (SOCKET, 60), "TCP_NODELAY": (TCP, 1), "TCP_CORK": (TCP, 3), "TCP_KEEPIDLE": (TCP, 4),
    "TCP_KEEPINTVL": (TCP, 5), "TCP_KEEPCNT": (TCP, 6), "TCP_SYNCNT": (TCP, 7), "TCP_LINGER2": (TCP, 8),
    "TCP_DEFER_ACCEPT": (TCP, 9), "TCP_USER_TIMEOUT": (TCP, 18), "TCP_REPAIR": (TCP, 19),
    "TCP_FASTOPEN": (TCP, 23), "TCP_NOTSENT_LOWAT": (TCP, 25), "TCP_SAVE_SYN": (TCP, 27),
    "TCP_FASTOPEN_CONNECT": (TCP, 30), "TCP_INQ": (TCP, 36), "IP_TOS": (IP, 1), "IP_TTL": (IP, 2),
    "IP_MTU_DISCOVER": (IP, 10), "IP_RECVERR": (IP, 11), "IP_FREEBIND": (IP, 15), "IP_TRANSPARENT": (IP, 19),
    "IP_MINTTL": (IP, 21), "IP_BIND_ADDRESS_NO_PORT": (IP, 24),
}


def value_of(s, level, name):
    try:
        return s.getsockopt(level, name)
    except OSError as error:
        return name_of(error)


def read_all(t, s):
    for label, (level, name) in READ.items():
        if label != "SO_RCVBUF":
            t.see(label, value_of(s, level, name))


@case(OPTIONS, "every option of a new connection, at both ends")
class Defaults:
    def server(t):
        read_all(t, t.accepted())
        t.meet()

    def client(t):
        read_all(t, t.connected())
        t.meet()


@case(OPTIONS, "the receive buffer of a new connection")
class DefaultBuffer:
    def server(t):
        t.see("SO_RCVBUF", t.accepted().getsockopt(SOCKET, socket.SO_RCVBUF))
        t.meet()

    def client(t):
        t.see("SO_RCVBUF", t.connected().getsockopt(SOCKET, socket.SO_RCVBUF))
        t.meet()


@case(OPTIONS, "congestion control: the default's name, and another")
class Congestion:
    def server(t):
        congestion(t, t.accepted())

    def client(t):
        congestion(t, t.connected())


def congestion(t, s):
    def name():
        return s.getsockopt(TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()

    with open("/proc/sys/net/ipv4/tcp_congestion_control") as file:
        default = file.read().strip()
    t.see("the host's default", name() == default)
    t.call("setsockopt reno", s.setsockopt, TCP, socket.TCP_CONGESTION, b"reno")
    t.see("TCP_CONGESTION", name())
    t.call("setsockopt of none", s.setsockopt, TCP, socket.TCP_CONGESTION, b"no-such")
    t.meet()


@case(OPTIONS, "what an accepted connection has of its listener")
class Inherited:
    def server(t):
        def setup(l):
            l.setsockopt(SOCKET, socket.SO_KEEPALIVE, 1)
            l.setsockopt(SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 7))
            l.setsockopt(SOCKET, socket.SO_RCVBUF, 50000)
            l.setsockopt(SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 9, 0))
            l.setsockopt(TCP, socket.TCP_NODELAY, 1)
            l.setsockopt(TCP, socket.TCP_KEEPIDLE, 77)
            l.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 12345)
            l.setsockopt(IP, socket.IP_TOS, 0x10)
            l.setsockopt(IP, socket.IP_TTL, 33)

        s = t.accepted(setup=setup)
        read_all(t, s)
        t.see("SO_RCVBUF", s.getsockopt(SOCKET, socket.SO_RCVBUF))
        t.see("SO_LINGER", str(struct.unpack("ii", s.getsockopt(SOCKET, socket.SO_LINGER, 8))))
        t.see("SO_RCVTIMEO", str(struct.unpack("ll", s.getsockopt(SOCKET, socket.SO_RCVTIMEO, 16))))
        t.meet()

    def client(t):
        t.connected()
        t.meet()


SET = [
    ("SO_KEEPALIVE", SOCKET, 9, 1), ("SO_OOBINLINE", SOCKET, 10, 1), ("SO_PRIORITY", SOCKET, 12, 5),
    ("SO_RCVBUF", SOCKET, 8, 30000), ("SO_SNDBUF", SOCKET, 7, 30000), ("SO_RCVLOWAT", SOCKET, 18, 5),
    ("SO_MARK", SOCKET, 36, 1), ("SO_TIMESTAMP", SOCKET, 29, 1), ("SO_RCVBUFFORCE", SOCKET, 33, 1),
    ("SO_MAX_PACING_RATE", SOCKET, 47, 10**9), ("SO_PASSCRED", SOCKET, 16, 1),
    ("SO_ATTACH_REUSEPORT_CBPF", SOCKET, 51, 1), ("SO_TXREHASH", SOCKET, 74, 1),
    ("TCP_NODELAY", TCP, 1, 1), ("TCP_CORK", TCP, 3, 0), ("TCP_KEEPIDLE", TCP, 4, 30),
    ("TCP_KEEPINTVL", TCP, 5, 5), ("TCP_KEEPCNT", TCP, 6, 4), ("TCP_SYNCNT", TCP, 7, 3),
    ("TCP_LINGER2", TCP, 8, 10), ("TCP_WINDOW_CLAMP", TCP, 10, 60000), ("TCP_QUICKACK", TCP, 12, 1),
    ("TCP_THIN_LINEAR_TIMEOUTS", TCP, 16, 1), ("TCP_USER_TIMEOUT", TCP, 18, 5000), ("TCP_REPAIR", TCP, 19, 1),
    ("TCP_NOTSENT_LOWAT", TCP, 25, 9000),
    ("TCP_FASTOPEN", TCP, 23, 5), ("TCP_INQ", TCP, 36, 1), ("TCP_TX_DELAY", TCP, 37, 0),
    ("IP_TOS", IP, 1, 8), ("IP_TTL", IP, 2, 64), ("IP_MTU_DISCOVER", IP, 10, 2), ("IP_RECVERR", IP, 11, 1),
    ("IP_FREEBIND", IP, 15, 1), ("IP_TRANSPARENT", IP, 19, 1), ("IP_MINTTL", IP, 21, 1), ("IP_PKTINFO", IP, 8, 1),
    ("IP_RECVTOS", IP, 13, 1), ("IP_RECVTTL", IP, 12, 1), ("IP_UNICAST_IF", IP, 50, 0),
    ("no such option", TCP, 200, 1), ("no such level", 250, 1, 1),
]


@case(OPTIONS, "every option set on a connection")
class Settable:
    def server(t):
        set_all(t, t.accepted())

    def client(t):
        set_all(t, t.connected())


def set_all(t, s):
    for label, level, name, value in SET:
        try:
            s.setsockopt(level, name, value)
            result = value_of(s, level, name)
        except OSError as error:
            result = name_of(error)
        t.see(label, result)
    t.meet()
    s.sendall(b"still works")
    t.call("recv", s.recv, 100)
    t.meet()


def link():
    """The name and number of the interface that leads to the other end."""
    return next((name, number) for number, name in socket.if_nameindex() if name in ("veth", "ist0"))


@case(OPTIONS, "the interface that leads there, by name and number (SO_BINDTODEVICE, SO_BINDTOIFINDEX)")
class BindToDevice:
    def server(t):
        t.listener()
        t.tell()
        t.meet()

    def client(t):
        t.hear()
        s = t.socket()
        name, number = link()
        t.call("setsockopt", s.setsockopt, SOCKET, 25, name.encode())
        t.call("connect", s.connect, t.address())
        s = t.socket()
        t.call("setsockopt by number", s.setsockopt, SOCKET, 62, number)
        t.call("connect", s.connect, t.address())
        t.meet()


@case(OPTIONS, "a listener bound to an interface (SO_BINDTODEVICE, SO_BINDTOIFINDEX)")
class BoundListener:
    def server(t):
        name, number = link()
        for label, offset, option, value in (
            ("by name", 0, 25, name.encode()),
            ("by number", 1, 62, struct.pack("i", number)),
            ("to none", 2, 25, b""),
        ):
            def bind(l):
                t.call(f"{label}: setsockopt", l.setsockopt, SOCKET, option, value)

            listener = t.listener(offset=offset, setup=bind)
            t.tell()
            t.call(f"{label}: recv", t.keep(listener.accept()[0]).recv, 10)

    def client(t):
        for offset in range(3):
            t.hear()
            s = t.socket()
            t.call("connect", s.connect, t.address(offset))
            t.call("send", s.send, b"x")


@case(OPTIONS, "SO_DONTROUTE: only to who is on the same link")
class DontRoute:
    def server(t):
        t.listener()
        t.tell()
        t.meet()

    def client(t):
        t.hear()
        s = t.socket()
        t.call("setsockopt", s.setsockopt, SOCKET, socket.SO_DONTROUTE, 1)
        t.call("connect", s.connect, t.address())
        t.meet()


@case(OPTIONS, "IP options (a record of the route)")
class IPOptions:
    def server(t):
        t.listener()
        t.tell()
        t.meet()

    def client(t):
        t.hear()
        s = t.socket()
        t.call("setsockopt", s.setsockopt, IP, socket.IP_OPTIONS, b"\x07\x07\x04\0\0\0\0\0")
        t.call("connect", t.socket().connect, t.address())
        t.meet()


@case(OPTIONS, "UDP to the other end")
class UDP:
    def server(t):
        s = t.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        t.call("bind", s.bind, ("0.0.0.0", t.port))
        t.meet()
        t.see("arrived", t.readable(s, 0.5))
        t.meet()

    def client(t):
        s = t.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        t.meet()
        t.call("sendto", s.sendto, b"x", t.address())
        t.meet()


@case(OPTIONS, "kernel TLS on the program's own connection (TCP_ULP)")
class ULP:
    def server(t):
        t.accepted()
        t.meet()

    def client(t):
        s = t.connected()
        t.call("setsockopt of none", s.setsockopt, TCP, 31, b"no-such")
        t.meet()


@case(OPTIONS, "TCP_MAXSEG of 500 on the listener: all bytes come")
class SmallSegments:
    def server(t):
        t.drain("recv", t.accepted(setup=lambda l: l.setsockopt(TCP, socket.TCP_MAXSEG, 500)))

    def client(t):
        s = t.connected()
        t.see("TCP_MAXSEG at most 500", s.getsockopt(TCP, socket.TCP_MAXSEG) <= 500)
        t.call("sendall", s.sendall, pattern(100000))


@case(OPTIONS, "the type of service that the server sees (IP_TOS of the caller, in the saved SYN)")
class TypeOfService:
    def server(t):
        s = t.accepted(setup=lambda l: l.setsockopt(TCP, 27, 1))
        syn = s.getsockopt(TCP, 28, 120)
        t.see("IP_TOS of the SYN", syn[1])

    def client(t):
        t.connected(lambda s: s.setsockopt(IP, socket.IP_TOS, 0x28))
