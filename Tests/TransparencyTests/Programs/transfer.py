"""Bytes, and the calls that move them."""

import errno, fcntl, hashlib, mmap, os, random, select, socket, struct, tempfile, threading, time

from end import SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, digest, name_of, pattern
from table import case

GROUP = "Bytes"
MIB = 1 << 20


@case(GROUP, "a write of 0 bytes")
class ZeroBytes:
    def server(t):
        s = t.accepted()
        t.meet()
        t.events("poll", s, wait=0.3)
        t.meet()
        t.call("recv", s.recv, 10)
        t.call("recv of 0 bytes", s.recv, 0)

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"")
        t.call("write", os.write, s.fileno(), b"")
        t.meet()
        t.meet()
        t.call("send", s.send, b"x")


@case(GROUP, "one byte there and back, 300 times")
class PingPong:
    def server(t):
        s = t.accepted()
        for _ in range(300):
            s.sendall(s.recv(1))
        t.call("recv at the end", s.recv, 1)

    def client(t):
        s = t.connected()
        got = b""
        for number in range(300):
            s.sendall(bytes([number & 255]))
            got += s.recv(10)
        t.see("got", got)


@case(GROUP, "20,000 writes of one byte")
class SingleBytes:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        t.see("sent", sum(s.send(b"%d" % (n % 10)) for n in range(20000)))


@case(GROUP, "one write of 8 MiB", limit=40)
class EightMiB:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        t.call("send", s.send, pattern(8 * MIB))


@case(GROUP, "8 MiB both ways at once", limit=40)
class BothWays:
    def server(t):
        both_ways(t, t.accepted())

    def client(t):
        both_ways(t, t.connected())


def both_ways(t, s):
    def write():
        s.sendall(pattern(8 * MIB))
        s.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    t.drain("recv", s)
    writer.join()


@case(GROUP, "4 MiB to a reader that takes its time", limit=40)
class SlowReader:
    def server(t):
        t.drain("recv", t.accepted(), slowly=0.01)

    def client(t):
        s = t.connected()
        t.call("sendall", s.sendall, pattern(4 * MIB))


@case(GROUP, "1 MiB read in pieces of 100 bytes")
class SmallReads:
    def server(t):
        t.drain("recv", t.accepted(), size=100)

    def client(t):
        t.call("sendall", t.connected().sendall, pattern(MIB))


@case(GROUP, "sendfile of 3 MiB")
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


@case(GROUP, "splice from a pipe and into one")
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


@case(GROUP, "a socket spliced to a socket: a proxy", limit=30)
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


@case(GROUP, "MSG_ZEROCOPY, and what its completions tell")
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


@case(GROUP, "TCP_CORK holds back what is less than a segment")
class Cork:
    def server(t):
        s = t.accepted()
        t.meet()
        t.see("within 100 ms", t.readable(s, 0.05))
        t.meet()
        t.readable(s)
        t.settle()
        t.call("recv", s.recv, 100)

    def client(t):
        s = t.connected()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        t.call("send", s.send, b"head")
        t.meet()
        t.meet()
        t.call("send", s.send, b"body")
        t.call("uncork", s.setsockopt, socket.IPPROTO_TCP, socket.TCP_CORK, 0)


@case(GROUP, "MSG_MORE, then the rest")
class More:
    def server(t):
        s = t.accepted()
        t.see("recv", t.exactly(s, 8))

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"head", socket.MSG_MORE)
        t.call("send", s.send, b"body")
        t.call("recv", s.recv, 1)


@case(GROUP, "MSG_PEEK, also at the end")
class Peek:
    def server(t):
        s = t.accepted()
        t.call("peek", s.recv, 3, socket.MSG_PEEK)
        t.meet()
        t.settle()
        t.call("peek more", s.recv, 10, socket.MSG_PEEK)
        t.call("recv", s.recv, 2)
        t.call("peek", s.recv, 10, socket.MSG_PEEK)
        t.call("recv", s.recv, 10)
        t.call("peek at the end", s.recv, 10, socket.MSG_PEEK)
        t.call("recv at the end", s.recv, 10)

    def client(t):
        s = t.connected()
        s.sendall(b"abc")
        s.sendall(b"def")
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(GROUP, "MSG_WAITALL over three writes")
class WaitAll:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 9, socket.MSG_WAITALL)
        t.call("recv short of it, to the end", s.recv, 9, socket.MSG_WAITALL)
        t.call("recv at the end", s.recv, 9, socket.MSG_WAITALL)

    def client(t):
        s = t.connected()
        for part in (b"abc", b"def", b"ghi"):
            s.sendall(part)
            t.settle(0.05)
        s.sendall(b"jk")
        s.shutdown(socket.SHUT_WR)


@case(GROUP, "MSG_WAITALL with SO_RCVTIMEO, and MSG_DONTWAIT with nothing there")
class WaitAllTimeout:
    def server(t):
        s = t.accepted()
        t.call("recv without waiting", s.recv, 3, socket.MSG_DONTWAIT)
        t.meet()
        t.settle()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 1, 0))
        t.took("recv of 9", 0.8, 3, s.recv, 9, socket.MSG_WAITALL)
        t.took("recv", 0.8, 3, s.recv, 9)
        t.meet()

    def client(t):
        s = t.connected()
        t.meet()
        t.call("send", s.send, b"abc")
        t.meet()


@case(GROUP, "MSG_TRUNC throws bytes away")
class Trunc:
    def server(t):
        s = t.accepted()
        t.readable(s)
        t.settle()
        t.see("thrown away", s.recv_into(bytearray(3), 3, socket.MSG_TRUNC))
        t.call("recv", s.recv, 10)

    def client(t):
        t.call("send", t.connected().send, b"abcdef")


@case(GROUP, "sendmsg and recvmsg with several buffers")
class Scatter:
    def server(t):
        s = t.accepted()
        t.readable(s)
        t.settle()
        buffers = [bytearray(2), bytearray(3), bytearray(5)]
        count, ancillary, flags, address = s.recvmsg_into(buffers)
        t.see("recvmsg", f"{count} {flags} {len(ancillary)} {address}")
        t.see("buffers", " ".join(b.decode() for b in buffers))

    def client(t):
        s = t.connected()
        t.call("sendmsg", s.sendmsg, [b"ab", b"", b"cde", b"fghij"])


@case(GROUP, "SIOCINQ and SIOCOUTQ")
class Queues:
    def server(t):
        s = t.accepted()
        t.ioctl("SIOCINQ", s, SIOCINQ)
        t.meet()
        t.meet()
        t.settle(0.3)
        t.ioctl("SIOCINQ with bytes", s, SIOCINQ)
        t.call("recv", s.recv, 400)
        t.ioctl("SIOCINQ after it", s, SIOCINQ)
        t.meet()
        t.settle(0.3)
        s.recv(600)
        t.ioctl("SIOCINQ at the end", s, SIOCINQ)
        t.call("recv at the end", s.recv, 10)

    def client(t):
        s = t.connected()
        t.ioctl("SIOCOUTQ", s, SIOCOUTQ)
        t.meet()
        t.call("send", s.send, pattern(1000))
        t.meet()
        t.settle(0.3)
        t.ioctl("SIOCOUTQ when it arrived", s, SIOCOUTQ)
        t.ioctl("SIOCOUTQNSD", s, SIOCOUTQNSD)
        s.shutdown(socket.SHUT_WR)
        t.meet()


@case(GROUP, "TCP_INQ tells what is left beside each read")
class InQ:
    def server(t):
        s = t.accepted()
        s.setsockopt(socket.IPPROTO_TCP, 36, 1)
        t.readable(s)
        t.settle()
        data, ancillary, _, _ = s.recvmsg(4, 100)
        t.see("recvmsg", data)
        t.see("left", [struct.unpack("i", value)[0] for _, kind, value in ancillary if kind == 36])

    def client(t):
        t.call("send", t.connected().send, b"abcdefghij")


@case(GROUP, "SO_RCVLOWAT: poll waits for so many bytes")
class LowWater:
    def server(t):
        s = t.accepted()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 10)
        t.see("SO_RCVLOWAT", s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT))
        t.meet()
        t.events("poll with 5 bytes", s, wait=0.3, mask=select.POLLIN)
        t.meet()
        t.await_events("poll with 10", s, select.POLLIN)
        t.call("recv", s.recv, 100)
        t.meet()
        t.await_events("poll at the end", s, select.POLLIN)

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"abcde")
        t.meet()
        t.meet()
        t.call("send", s.send, b"fghij")
        t.meet()
        s.shutdown(socket.SHUT_WR)


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


@case(GROUP, "a reader that never reads: how much is taken in", limit=60)
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


@case(GROUP, "the same with buffers of 8 KiB at both ends", limit=60)
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


@case(GROUP, "a stalled reader that goes on: all bytes come", limit=60)
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


@case(GROUP, "SO_SNDTIMEO while the reader does not read", limit=60)
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


@case(GROUP, "TCP_NOTSENT_LOWAT: poll for room while the reader does not read", limit=60)
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


@case(GROUP, "TCP_ZEROCOPY_RECEIVE by mmap")
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


@case(GROUP, "SO_TIMESTAMPING: when the last byte was acknowledged")
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


@case(GROUP, "the error queue, with nothing in it")
class ErrorQueue:
    def server(t):
        s = t.accepted()
        t.call("recv", s.recv, 10, socket.MSG_ERRQUEUE)
        t.meet()

    def client(t):
        s = t.connected()
        t.call("recv", s.recv, 10, socket.MSG_ERRQUEUE)
        t.meet()


@case(GROUP, "a receive buffer of 2 KiB and 1 MiB", limit=60)
class SmallBuffer:
    def server(t):
        t.drain("recv", t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)))

    def client(t):
        t.call("sendall", t.connected().sendall, pattern(MIB))


@case(GROUP, "bytes that were sent before the server accepts")
class BeforeAccept:
    def server(t):
        listener = t.listener()
        t.meet()
        t.hear()
        s, _ = listener.accept()
        t.drain("recv", s)

    def client(t):
        t.meet()
        s = t.socket()
        s.connect(t.address())
        t.call("send", s.send, pattern(30000))
        s.close()
        t.settle()
        t.tell()


@case(GROUP, "a descriptor passed to another process, and used there")
class PassedDescriptor:
    def server(t):
        s = t.accepted()
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        if os.fork() == 0:
            _, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
            mine = socket.socket(fileno=descriptors[0])
            mine.sendall(b"hello from another")
            os._exit(0)
        socket.send_fds(ours, [b"x"], [s.fileno()])
        s.close()

    def client(t):
        t.drain("recv", t.connected())


@case(GROUP, "as much as goes in before the server accepts", limit=60)
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


@case(GROUP, "both write until there is no room, then both read", limit=60)
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


@case(GROUP, "writes and reads of random sizes both ways, with pauses, five times", limit=60)
class Random:
    def server(t):
        listener = t.listener()
        for seed in range(5):
            t.tell()
            random_traffic(t, t.keep(listener.accept()[0]), seed)

    def client(t):
        for seed in range(5):
            random_traffic(t, t.connected(), seed + 100)


def random_traffic(t, s, seed):
    chance = random.Random(seed)

    def write():
        left = memoryview(pattern(1 << 19))
        while left:
            left = left[s.send(left[: chance.choice([1, 10, 100, 1448, 5000, 65536, 200000])]) :]
            if chance.random() < 0.05:
                time.sleep(0.005)
        s.shutdown(socket.SHUT_WR)

    writer = threading.Thread(target=write)
    writer.start()
    reading, got = random.Random(seed + 1), hashlib.sha256()
    count = 0
    while data := s.recv(reading.choice([1, 50, 1000, 4096, 65536, 300000])):
        got.update(data)
        count += len(data)
        if reading.random() < 0.02:
            time.sleep(0.005)
    writer.join()
    t.see("recv", f"{count} bytes {got.hexdigest()[:8]}")


@case(GROUP, "a connection that is used again after ten seconds")
class IdleThenUsed:
    def server(t):
        s = t.accepted()
        t.see("first", t.exactly(s, 5))
        s.sendall(b"hello")
        t.see("second", t.exactly(s, 5))
        s.sendall(b"again")
        t.drain("end", s)

    def client(t):
        s = t.connected()
        s.sendall(b"first")
        t.see("first", t.exactly(s, 5))
        time.sleep(10)
        t.call("sendall", s.sendall, b"later")
        t.see("second", t.exactly(s, 5))
