"""Bytes, few and many."""

import hashlib, os, random, socket, threading, time

from end import pattern
from table import BYTES, case

MIB = 1 << 20


@case(BYTES, "a write of 0 bytes")
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


@case(BYTES, "one byte there and back, 300 times")
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


@case(BYTES, "20,000 writes of one byte")
class SingleBytes:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        t.see("sent", sum(s.send(b"%d" % (n % 10)) for n in range(20000)))


@case(BYTES, "one write of 8 MiB", limit=40)
class EightMiB:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        t.call("send", s.send, pattern(8 * MIB))


@case(BYTES, "8 MiB both ways at once", limit=40)
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


@case(BYTES, "4 MiB to a reader that takes its time", limit=40)
class SlowReader:
    def server(t):
        t.drain("recv", t.accepted(), slowly=0.01)

    def client(t):
        s = t.connected()
        t.call("sendall", s.sendall, pattern(4 * MIB))


@case(BYTES, "1 MiB read in pieces of 100 bytes")
class SmallReads:
    def server(t):
        t.drain("recv", t.accepted(), size=100)

    def client(t):
        t.call("sendall", t.connected().sendall, pattern(MIB))


@case(BYTES, "a receive buffer of 2 KiB and 1 MiB", limit=60)
class SmallBuffer:
    def server(t):
        t.drain("recv", t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)))

    def client(t):
        t.call("sendall", t.connected().sendall, pattern(MIB))


@case(BYTES, "a receive buffer that is made 4 KiB once connected, and 256 KiB each way", limit=60)
class SmallBufferLater:
    """The window is smaller than the segments that the handshake agreed on may be."""

    def server(t):
        small_later(t, t.accepted())

    def client(t):
        small_later(t, t.connected())


def small_later(t, s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    t.meet()
    writer = threading.Thread(target=s.sendall, args=(pattern(MIB // 4),))
    writer.start()
    t.timed("recv", 1, t.exactly, s, MIB // 4)
    writer.join()


@case(BYTES, "bytes that were sent before the server accepts")
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


@case(BYTES, "a descriptor passed to another process, and used there")
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


@case(BYTES, "writes and reads of random sizes both ways, with pauses, five times", limit=60)
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


@case(BYTES, "a connection that is used again after ten seconds")
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
