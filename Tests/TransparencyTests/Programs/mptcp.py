"""MPTCP at one end or both."""

import socket

from end import name_of
from names import look, accept
from table import ADDRESSES, case

MPTCP = 262


def fell_back(s):
    """Whether MPTCP_INFO fails, as it does after a fallback to plain TCP."""
    try:
        s.getsockopt(284, 1, 64)
        return False
    except OSError as error:
        return name_of(error)


@case(ADDRESSES, "an MPTCP socket to a TCP listener")
class MPTCPCaller:
    def server(t):
        s, _ = accept(t)
        t.call("recv", s.recv, 10)
        t.call("send", s.send, b"y")
        t.meet()

    def client(t):
        t.hear()
        s = t.socket(protocol=MPTCP)
        t.timed("connect", 1, s.connect, t.address())
        look(t, s)
        t.call("send", s.send, b"x")
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))
        t.meet()


@case(ADDRESSES, "an MPTCP socket to an MPTCP listener")
class MPTCPBoth:
    def server(t):
        s, _ = accept(t, protocol=MPTCP)
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))
        t.call("send", s.send, b"y")
        t.drain("to the end", s)

    def client(t):
        t.hear()
        s = t.socket(protocol=MPTCP)
        t.timed("connect", 1, s.connect, t.address())
        look(t, s)
        t.call("send", s.send, b"x")
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))
        s.shutdown(socket.SHUT_WR)
        t.call("recv at the end", s.recv, 10)


@case(ADDRESSES, "a TCP socket to an MPTCP listener")
class MPTCPListener:
    def server(t):
        s, _ = accept(t, protocol=MPTCP)
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"x")
