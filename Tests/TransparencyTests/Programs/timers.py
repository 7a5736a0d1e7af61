"""Timers of the program's own, and what TCP_INFO says."""

import os, select, signal, socket, struct, time

from end import name_of, pattern
from table import OPTIONS, case

TCP, SOCKET = socket.IPPROTO_TCP, socket.SOL_SOCKET


@case(OPTIONS, "TCP_INFO's state through a connection's life")
class States:
    def server(t):
        listener = t.listener()
        t.state("listens", listener)
        t.tell()
        s = t.keep(listener.accept()[0])
        t.state("accepted", s)
        t.meet()
        t.readable(s)
        t.state("the other half-closed", s)
        t.hear()
        s.shutdown(socket.SHUT_WR)
        t.meet()
        t.settle()
        t.state("both", s)

    def client(t):
        s = t.socket()
        t.state("new", s)
        t.hear()
        s.connect(t.address())
        t.state("connected", s)
        t.meet()
        s.shutdown(socket.SHUT_WR)
        t.settle(0.3)
        t.state("half-closed", s)
        t.tell()
        t.meet()


@case(OPTIONS, "TCP_INFO: timestamps, SACK and window scaling are in use, and nothing is lost")
class Info:
    def server(t):
        info(t, t.accepted())

    def client(t):
        info(t, t.connected())


def info(t, s):
    s.sendall(pattern(100000))
    t.exactly(s, 100000)
    t.settle()
    raw = s.getsockopt(TCP, socket.TCP_INFO, 256)
    t.see("options", raw[5] & 0x07)
    t.see("retransmits", raw[2])
    t.see("unacked", struct.unpack_from("I", raw, 24)[0])
    t.meet()


@case(OPTIONS, "keepalive of 1 s on a connection with nothing said for four")
class Keepalive:
    def server(t):
        idle(t, t.accepted())

    def client(t):
        idle(t, t.connected())


def idle(t, s):
    s.setsockopt(SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in ((4, 1), (5, 1), (6, 3)):
        s.setsockopt(TCP, name, value)
    s.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 2000)
    t.events("poll", s, wait=4, mask=select.POLLIN)
    t.meet()
    s.sendall(b"here")
    t.call("recv", s.recv, 10)
    t.meet()


@case(OPTIONS, "keepalive towards a program that is stopped")
class KeepaliveStopped:
    """The kernel answers for it."""

    def server(t):
        listener = t.listener()
        process = os.fork()
        if process == 0:
            s, _ = listener.accept()
            time.sleep(20)
            os._exit(0)
        t.tell()
        t.hear()
        os.kill(process, signal.SIGSTOP)
        t.hear()
        os.kill(process, signal.SIGKILL)

    def client(t):
        s = t.connected()
        s.setsockopt(SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in ((4, 1), (5, 1), (6, 2)):
            s.setsockopt(TCP, name, value)
        t.tell()
        t.events("poll", s, wait=5, mask=select.POLLIN)
        t.tell()


@case(OPTIONS, "TCP_USER_TIMEOUT of two seconds towards a reader that does not read", limit=40)
class UserTimeoutStalled:
    def server(t):
        t.accepted(setup=lambda l: l.setsockopt(SOCKET, socket.SO_RCVBUF, 4096))
        t.meet()

    def client(t):
        s = t.connected(lambda s: s.setsockopt(SOCKET, socket.SO_SNDBUF, 4096))
        s.setsockopt(TCP, socket.TCP_USER_TIMEOUT, 2000)
        begin, outcome = time.monotonic(), "nothing within 15 s"
        s.setsockopt(SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 15, 0))
        try:
            while time.monotonic() < begin + 15:
                s.sendall(pattern(65536))
        except BlockingIOError:
            pass
        except OSError as error:
            outcome = name_of(error)
        t.see("sendall", outcome)
        t.meet()
