"""Readers that do not read."""

import fcntl, hashlib, select, socket, struct, time

from end import SIOCOUTQNSD, pattern
from table import BYTES, case
from transfer import MIB


def fill(s):
    """Writes without waiting until there has been no room for a second; how much went in."""
    s.setblocking(False)
    count, data, last = 0, memoryview(pattern(65568)), time.monotonic()
    while time.monotonic() < last + 1:
        try:
            count += s.send(data[count % 32 :])  # the pattern goes on where it was
            last = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    s.setblocking(True)
    return count


def size_class(count, *limits):
    for limit in limits:
        if count <= limit << 10:
            return f"at most {limit} KiB"
    return f"{count >> 10} KiB"


@case(BYTES, "a reader that never reads: how much is taken in", limit=60)
class Stalled:
    def server(t):
        s = t.accepted()
        t.hear()
        t.drain("ended by", s, counts=False)
        t.meet()

    def client(t):
        s = t.connected()
        count = fill(s)
        t.see("taken in", size_class(count, 8192))
        t.events("poll", s, mask=select.POLLOUT)
        t.tell()
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(BYTES, "the same with buffers of 8 KiB at both ends", limit=60)
class StalledSmall:
    def server(t):
        s = t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192))
        t.hear()
        t.drain("ended by", s, counts=False)
        t.meet()

    def client(t):
        s = t.connected(lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192))
        t.see("taken in", size_class(fill(s), 1024))
        t.tell()
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(BYTES, "a stalled reader that goes on: all bytes come", limit=60)
class StalledThenRead:
    def server(t):
        s = t.accepted()
        t.hear()
        t.see("same bytes", count_pattern(s) == t.hear())

    def client(t):
        s = t.connected()
        count = fill(s)
        t.tell()
        s.shutdown(socket.SHUT_WR)
        t.tell(count)


def count_pattern(s):
    """Reads to the end; how many bytes came, if they are the pattern's."""
    got = hashlib.sha256()
    count = 0
    while data := s.recv(65536):
        got.update(data)
        count += len(data)
    return count if hashlib.sha256(pattern(count)).digest() == got.digest() else -1


@case(BYTES, "as much as goes in before the server accepts", limit=60)
class FilledBeforeAccept:
    def server(t):
        listener = t.listener()
        t.meet()
        t.hear()
        s, _ = listener.accept()
        t.see("same bytes", count_pattern(s) == t.hear())

    def client(t):
        t.meet()
        s = t.socket()
        s.connect(t.address())
        count = fill(s)
        t.tell()
        s.shutdown(socket.SHUT_WR)
        t.tell(count)


@case(BYTES, "both write until there is no room, then both read", limit=60)
class BothStalled:
    def server(t):
        both_stalled(t, t.accepted())

    def client(t):
        both_stalled(t, t.connected())


def both_stalled(t, s):
    count = fill(s)
    t.tell(count)
    theirs = t.hear()
    s.shutdown(socket.SHUT_WR)
    t.see("same bytes", count_pattern(s) == theirs)


@case(BYTES, "SO_SNDTIMEO while the reader does not read", limit=60)
class SendTimeout:
    def server(t):
        t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192))
        t.meet()

    def client(t):
        s = t.connected()
        fill(s)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 1, 0))
        t.took("send", 0.8, 3, s.send, pattern(8 * MIB))
        t.meet()


@case(BYTES, "TCP_NOTSENT_LOWAT: poll for room while the reader does not read", limit=60)
class NotSentLowWater:
    def server(t):
        t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192))
        t.meet()

    def client(t):
        s = t.connected()
        s.setsockopt(socket.IPPROTO_TCP, 25, 16384)
        fill(s)
        t.events("poll", s, mask=select.POLLOUT)
        unsent = struct.unpack("i", fcntl.ioctl(s, SIOCOUTQNSD, b"\0" * 4))[0]
        t.see("SIOCOUTQNSD", size_class(unsent, 1024))
        t.meet()
