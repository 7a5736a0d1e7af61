"""Programs that are killed."""

import os, signal, socket, time

from end import SLOWNESS, name_of, pattern
from table import ENDS, case


@case(ENDS, "the process at the other end is killed")
class Killed:
    def server(t):
        listener = t.listener()
        process = os.fork()
        if process == 0:
            s, _ = listener.accept()
            s.sendall(b"alive")
            time.sleep(20)
            os._exit(0)
        t.meet()
        t.hear()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)

    def client(t):
        t.meet()
        s = t.socket()
        s.connect(t.address())
        t.call("recv", s.recv, 10)
        t.tell()
        t.timed("recv", 2, s.recv, 1)


@case(ENDS, "the process at the other end is killed with bytes unread")
class KilledUnread:
    def server(t):
        listener = t.listener()
        process = os.fork()
        if process == 0:
            s, _ = listener.accept()
            s.sendall(b"alive")
            time.sleep(20)
            os._exit(0)
        t.meet()
        t.hear()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)

    def client(t):
        t.meet()
        s = t.socket()
        s.connect(t.address())
        t.call("recv", s.recv, 10)
        s.sendall(b"unread")
        t.settle(0.3)
        t.tell()
        t.timed("recv", 2, s.recv, 1)


@case(ENDS, "the program at the other end is killed while it reads a transfer", limit=40)
class KilledReading:
    def server(t):
        listener = t.listener()
        if (process := os.fork()) == 0:
            s, _ = listener.accept()
            while s.recv(65536):
                time.sleep(0.001 * SLOWNESS)  # slower than what comes, so that something is unread
            os._exit(0)
        t.meet()
        t.hear()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)

    def client(t):
        t.meet()
        s = t.socket()
        s.connect(t.address())
        s.sendall(pattern(4 << 20))
        t.tell()
        end = None
        while end is None:
            try:
                s.send(pattern(65536), socket.MSG_NOSIGNAL)
            except OSError as error:
                end = name_of(error)
        t.see("send until", end)


@case(ENDS, "the program at the other end is killed while it writes: what was written comes, then EOF", limit=40)
class KilledWriting:
    def server(t):
        listener = t.listener()
        ready, tell = os.pipe()
        if (process := os.fork()) == 0:
            s, _ = listener.accept()
            s.sendall(pattern(100000))
            os.write(tell, b"x")
            time.sleep(20)
            os._exit(0)
        t.meet()
        os.read(ready, 1)
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)

    def client(t):
        t.meet()
        s = t.socket()
        s.connect(t.address())
        t.drain("recv", s, slowly=0.02)
