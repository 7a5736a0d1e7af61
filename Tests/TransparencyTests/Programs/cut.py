"""What a program notices while nothing gets from one host to the other for twelve seconds.

On one runner there is no wire to cut. The tests cut it when every such case waits for it."""

import errno, select, socket, struct, time

from end import name_of, pattern
from table import CUT, case

TCP, SOCKET = socket.IPPROTO_TCP, socket.SOL_SOCKET


def outcome_within(t, label, s, seconds):
    """What ends the connection within so many seconds, if anything."""
    if t.readable(s, seconds):
        t.call(label, s.recv, 1)
    else:
        t.see(label, "nothing")


@case(CUT, "keepalive of 1 s, three times: ETIMEDOUT while it is cut", limit=60, cut=True)
class CutKeepalive:
    def server(t):
        t.accepted()
        t.hear()

    def client(t):
        s = t.connected()
        s.setsockopt(SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in ((4, 1), (5, 1), (6, 3)):
            s.setsockopt(TCP, name, value)
        t.cut()
        outcome_within(t, "recv", s, 9)
        t.mended()
        t.tell()


@case(CUT, "the server's keepalive of 1 s, three times", limit=60, cut=True)
class CutServerKeepalive:
    def server(t):
        s = t.accepted()
        s.setsockopt(SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in ((4, 1), (5, 1), (6, 3)):
            s.setsockopt(TCP, name, value)
        t.tell()
        t.hear()
        outcome_within(t, "recv", s, 9)
        t.tell()

    def client(t):
        t.connected()
        t.hear()
        t.cut()
        t.tell()
        t.hear()
        t.mended()


@case(CUT, "TCP_USER_TIMEOUT of 3 s with bytes on their way", limit=60, cut=True)
class CutUserTimeout:
    def server(t):
        t.accepted()
        t.hear()

    def client(t):
        s = t.connected()
        s.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 3000)
        t.cut()
        t.call("send", s.send, b"on its way")
        outcome_within(t, "recv", s, 9)
        t.mended()
        t.tell()


@case(CUT, "TCP_USER_TIMEOUT of 3 s with bytes that are sent four seconds after the cut", limit=60, cut=True)
class CutUserTimeoutLater:
    def server(t):
        t.accepted()
        t.hear()

    def client(t):
        s = t.connected()
        s.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 3000)
        t.cut()
        time.sleep(4)
        t.call("send", s.send, b"on its way")
        outcome_within(t, "recv", s, 6)
        t.mended()
        t.tell()


@case(CUT, "no timer: bytes that were written meanwhile come later", limit=60, cut=True)
class CutWriter:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        s.sendall(pattern(10000))
        t.cut()
        t.call("send", s.sendall, pattern(10000))
        t.events("poll", s, wait=5, mask=select.POLLIN)
        t.mended()
        t.call("send later", s.sendall, pattern(10000))


@case(CUT, "a transfer of 64 MiB goes on where it was", limit=90, cut=True)
class CutTransfer:
    def server(t):
        t.drain("recv", t.accepted(), slowly=0.002)

    def client(t):
        s = t.connected()
        s.sendall(pattern(32 << 20))
        t.cut()
        t.call("sendall", s.sendall, pattern(32 << 20))
        t.mended()


@case(CUT, "an end that was written meanwhile comes later", limit=60, cut=True)
class CutEnd:
    def server(t):
        s = t.accepted()
        t.hear()
        t.events("poll", s, wait=5, mask=select.POLLIN)
        t.drain("recv", s)

    def client(t):
        s = t.connected()
        t.cut()
        s.sendall(b"last words")
        s.shutdown(socket.SHUT_WR)
        t.tell()
        t.mended()
        t.timed("recv", 20, s.recv, 1)


@case(CUT, "connect with TCP_SYNCNT 1 while it is cut", limit=60, cut=True)
class CutConnect:
    def server(t):
        t.listener()
        t.meet()
        t.hear()

    def client(t):
        t.meet()
        t.cut()
        s = t.socket()
        s.setsockopt(TCP, socket.TCP_SYNCNT, 1)
        t.took("connect", 1.5, 9, s.connect, t.address())
        t.mended()
        t.tell()


@case(CUT, "connect while it is cut: connected once it is mended", limit=45, cut=True)
class CutConnectWaits:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 10)

    def client(t):
        t.hear()
        t.cut()
        s = t.socket()
        t.timed("connect", 45, s.connect, t.address())
        t.call("send", s.send, b"late")


@case(CUT, "connect with SO_SNDTIMEO of 2 s while it is cut", limit=60, cut=True)
class CutConnectTimeout:
    def server(t):
        t.listener()
        t.meet()
        t.hear()

    def client(t):
        t.meet()
        t.cut()
        s = t.socket()
        s.setsockopt(SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 2, 0))
        t.took("connect", 1.5, 9, s.connect, t.address())
        t.mended()
        t.tell()


@case(CUT, "a close with SO_LINGER of 3 s and bytes on their way", limit=60, cut=True)
class CutLinger:
    def server(t):
        t.accepted()
        t.hear()

    def client(t):
        s = t.connected()
        s.setsockopt(SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3))
        t.cut()
        t.call("send", s.send, b"on its way")
        t.took("close", 2, 9, s.close)
        t.mended()
        t.tell()
