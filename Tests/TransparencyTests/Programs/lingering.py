"""SO_LINGER: how long close waits."""

import os, socket, struct, time

from end import pattern
from table import ENDS, case


@case(ENDS, "SO_LINGER of two seconds: close waits for a reader that does not read", limit=40)
class LingerStalled:
    def server(t):
        s = t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192))
        t.meet()

    def client(t):
        s = t.connected()
        s.setblocking(False)
        try:
            while True:
                s.send(pattern(65536))
        except BlockingIOError:
            pass
        time.sleep(1)
        try:
            while True:
                s.send(pattern(65536))
        except BlockingIOError:
            pass
        s.setblocking(True)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2))
        t.took("close", 1.5, 6, os.close, s.detach())
        t.meet()


@case(ENDS, "SO_LINGER of five seconds: close returns when the other end has all")
class LingerRead:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        s.sendall(pattern(300000))
        t.timed("close", 2, os.close, s.detach())


@case(ENDS, "SO_LINGER: close waits for the few bytes that a reader has no room for", limit=40)
class LingerFar:
    """The sender's own buffer has room for all of it, so what is waited for is the far end."""

    def server(t):
        s = t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096))
        t.meet()

    def client(t):
        s = t.connected(lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200000))
        s.sendall(pattern(60000))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 2))
        t.took("close", 1.5, 6, os.close, s.detach())
        t.meet()
