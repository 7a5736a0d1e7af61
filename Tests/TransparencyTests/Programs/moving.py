"""Calls that move bytes without copying them."""

import mmap, os, select, socket, struct, tempfile, threading

from end import name_of, pattern
from table import BYTES, case
from transfer import MIB


@case(BYTES, "sendfile of 3 MiB")
class SendFile:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        with tempfile.TemporaryFile() as file:
            file.write(pattern(3 * MIB))
            offset = 0
            while offset < 3 * MIB:
                offset += os.sendfile(s.fileno(), file.fileno(), offset, 3 * MIB - offset)
            t.see("sendfile at the file's end", os.sendfile(s.fileno(), file.fileno(), offset, 10))
        t.see("sent", offset)


@case(BYTES, "splice from a pipe and into one")
class Splice:
    def server(t):
        s = t.accepted()
        reading, writing = os.pipe()
        got = b""
        while moved := os.splice(s.fileno(), writing, 30000):
            got += os.read(reading, moved)
        t.see("spliced", got)

    def client(t):
        s = t.connected()
        reading, writing = os.pipe()
        moved = 0
        for _ in range(10):
            os.write(writing, pattern(30000))
            left = 30000
            while left:
                part = os.splice(reading, s.fileno(), left)
                left, moved = left - part, moved + part
        t.see("moved", moved)


@case(BYTES, "a socket spliced to a socket: a proxy", limit=30)
class SpliceProxy:
    def server(t):
        outer, inner = t.listener(), t.listener(offset=1)
        t.tell()
        incoming, _ = outer.accept()
        back, _ = inner.accept()
        reading, writing = os.pipe()
        count = 0
        while moved := os.splice(incoming.fileno(), writing, MIB):
            while moved:
                part = os.splice(reading, back.fileno(), moved)
                moved, count = moved - part, count + part
        t.see("proxied", count)
        back.close()

    def client(t):
        t.hear()
        out, back = t.socket(), t.socket()
        out.connect(t.address())
        back.connect(t.address(1))

        def write():
            out.sendall(pattern(2 * MIB))
            out.shutdown(socket.SHUT_WR)

        threading.Thread(target=write).start()
        t.drain("came back", back)


@case(BYTES, "MSG_ZEROCOPY, and what its completions tell")
class ZeroCopy:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        t.call("SO_ZEROCOPY", s.setsockopt, socket.SOL_SOCKET, 60, 1)
        data = pattern(400000)
        for _ in range(4):
            sent = 0
            while sent < len(data):
                sent += s.send(data[sent:], 0x4000000)
        t.see("sent", sent)
        t.settle(0.5)
        done, kinds = 0, set()
        try:
            while True:
                _, ancillary, _, _ = s.recvmsg(1, 200, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
                code, origin = struct.unpack_from("IB", ancillary[0][2])
                low, high = struct.unpack_from("II", ancillary[0][2], 8)
                kinds.add((code, origin))
                done += high - low + 1
        except BlockingIOError:
            pass
        t.see("errno and origin of completions", str(sorted(kinds)))
        t.see("completions came", done > 0)
        t.events("poll", s)


@case(BYTES, "TCP_ZEROCOPY_RECEIVE by mmap")
class MapReceive:
    def server(t):
        s = t.accepted()
        t.readable(s)
        try:
            memory = mmap.mmap(s.fileno(), 65536, mmap.MAP_SHARED, mmap.PROT_READ)
            t.see("mmap", "works")
            memory.close()
        except OSError as error:
            t.see("mmap", name_of(error))
        t.drain("recv", s)

    def client(t):
        t.call("sendall", t.connected().sendall, pattern(500000))


@case(BYTES, "SO_TIMESTAMPING: when the last byte was acknowledged")
class Timestamps:
    def server(t):
        s = t.accepted()
        t.see("recv", t.exactly(s, 5))
        t.meet()

    def client(t):
        s = t.connected()
        # Software, of acknowledgements, with an id instead of the bytes.
        t.call("setsockopt", s.setsockopt, socket.SOL_SOCKET, 37, 1 << 9 | 1 << 4 | 1 << 7 | 1 << 11)
        t.call("send", s.send, b"hello")
        t.meet()
        t.await_events("poll", s, select.POLLERR)
        try:
            _, ancillary, _, _ = s.recvmsg(100, 500, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            t.see("kinds", sorted(kind for _, kind, _ in ancillary))
        except OSError as error:
            t.see("kinds", name_of(error))


@case(BYTES, "the error queue, with nothing in it")
class ErrorQueue:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 10, socket.MSG_ERRQUEUE)
        t.meet()

    def client(t):
        s = t.connected()
        t.call("recv", s.recv, 10, socket.MSG_ERRQUEUE)
        t.meet()
