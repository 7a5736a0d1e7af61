"""How connections end: FIN and RST, their order with bytes, and what each call says then."""

import errno, os, select, signal, socket, struct, subprocess, sys, time

from end import SIOCINQ, name_of, pattern, reset
from table import case

GROUP = "Ends"


def raw_send(s, data):
    return s.send(data, socket.MSG_NOSIGNAL)


def write_until_error(t, label, s, patience=3.0):
    """Writes a byte now and then; the error that comes, and what comes after it."""
    deadline = time.monotonic() + patience
    outcome = "none"
    while time.monotonic() < deadline:
        try:
            raw_send(s, b"x")
        except OSError as error:
            outcome = name_of(error)
            break
        time.sleep(0.02)
    t.see(label, outcome)


@case(GROUP, "the caller closes first")
class CallerCloses:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        t.state("state", s)
        t.call("first send", raw_send, s, b"x")
        write_until_error(t, "send until", s)
        t.call("recv", s.recv, 1)

    def client(t):
        s = t.connected()
        s.sendall(b"bye")
        s.close()


@case(GROUP, "the server closes first")
class ServerCloses:
    def server(t):
        s = t.accepted()
        s.sendall(b"bye")
        s.close()

    def client(t):
        s = t.connected()
        t.drain("recv", s)
        t.state("state", s)
        t.call("first send", raw_send, s, b"x")
        write_until_error(t, "send until", s)
        t.call("recv", s.recv, 1)


@case(GROUP, "half-close by the caller; the server answers after it")
class CallerHalfCloses:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        t.settle(0.5)
        t.call("sendall", s.sendall, pattern(100000))
        s.close()

    def client(t):
        s = t.connected()
        s.sendall(b"request")
        t.call("shutdown", s.shutdown, socket.SHUT_WR)
        t.call("send", raw_send, s, b"x")
        t.drain("recv", s)
        t.call("shutdown again", s.shutdown, socket.SHUT_WR)


@case(GROUP, "half-close by the server; the caller goes on writing")
class ServerHalfCloses:
    def server(t):
        s = t.accepted()
        s.sendall(b"greeting")
        t.call("shutdown", s.shutdown, socket.SHUT_WR)
        t.drain("recv", s)

    def client(t):
        s = t.connected()
        t.drain("recv", s)
        t.settle(0.5)
        t.call("sendall", s.sendall, pattern(100000))
        s.close()


@case(GROUP, "half-closed for three seconds with nothing said")
class HalfClosedIdle:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        t.state("state", s)
        t.settle(3)
        t.state("state after it", s)
        t.call("send", s.send, b"late answer")

    def client(t):
        s = t.connected()
        s.shutdown(socket.SHUT_WR)
        t.settle()
        t.state("state", s)
        t.drain("recv", s)


@case(GROUP, "both half-close at once")
class BothHalfClose:
    def server(t):
        s = t.accepted()
        both_half_close(t, s)

    def client(t):
        both_half_close(t, t.connected())


def both_half_close(t, s):
    s.sendall(b"last words")
    t.meet()
    s.shutdown(socket.SHUT_WR)
    t.drain("recv", s)
    t.call("send", raw_send, s, b"x")
    t.await_events("poll", s, select.POLLHUP)


@case(GROUP, "both close at once, ten times")
class BothClose:
    def server(t):
        listener = t.listener()
        t.tell()
        for _ in range(10):
            s, _ = listener.accept()
            t.meet()
            s.close()
        t.call("accept one more", listener.accept()[0].recv, 10)

    def client(t):
        t.hear()
        for _ in range(10):
            s = t.socket()
            s.connect(t.address())
            t.meet()
            s.close()
        s = t.socket()
        s.connect(t.address())
        t.call("send", s.send, b"one more")


@case(GROUP, "linger 0: the caller resets")
class CallerResets:
    def server(t):
        s = t.accepted()
        t.meet()
        t.timed("recv", 2, s.recv, 1)
        t.call("recv again", s.recv, 1)
        t.call("send", raw_send, s, b"x")
        t.state("state", s)

    def client(t):
        s = t.connected()
        t.meet()
        t.settle()
        reset(s)


@case(GROUP, "linger 0: the server resets")
class ServerResets:
    def server(t):
        s = t.accepted()
        t.meet()
        t.settle()
        reset(s)

    def client(t):
        s = t.connected()
        t.meet()
        t.timed("recv", 2, s.recv, 1)
        t.call("recv again", s.recv, 1)
        t.call("send", raw_send, s, b"x")
        t.state("state", s)


def bytes_then_reset(t, count, pause):
    """Twenty times: write so many bytes, then reset after a pause in which they have left. None is to be lost."""
    listener = t.listener()
    t.tell()
    for _ in range(20):
        s, _ = listener.accept()
        s.recv(1)
        s.sendall(pattern(count))
        t.settle(pause)
        reset(s)
        t.hear()


def read_bytes_before_reset(t):
    t.hear()
    outcomes = {}
    for _ in range(20):
        s = socket.socket()
        s.connect(t.address())
        s.sendall(b"?")
        time.sleep(0.3)
        count, end = 0, "EOF"
        try:
            while data := s.recv(65536):
                count += len(data)
        except OSError as error:
            end = name_of(error)
        outcome = f"{count} bytes, then {end}"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        t.tell()
    t.see("twenty times", str(outcomes))


@case(GROUP, "8 bytes, then linger 0: what is read before the reset", limit=60)
class BytesThenReset:
    def server(t):
        bytes_then_reset(t, 8, 0)

    client = read_bytes_before_reset


@case(GROUP, "30,000 bytes, then linger 0: what is read before the reset", limit=60)
class ManyBytesThenReset:
    def server(t):
        bytes_then_reset(t, 30000, 0.05)

    client = read_bytes_before_reset


@case(GROUP, "3 bytes, then close with 100 kB unread: what is read before the reset", limit=60)
class EarlyAnswer:
    """A server that answers 413 and closes with the upload unread."""

    def server(t):
        listener = t.listener()
        t.tell()
        for _ in range(20):
            s, _ = listener.accept()
            s.recv(100)
            s.sendall(b"413")
            s.close()
            t.hear()

    def client(t):
        t.hear()
        outcomes = {}
        for _ in range(20):
            s = socket.socket()
            s.connect(t.address())
            try:
                s.sendall(pattern(100000))
                sent = "all sent"
            except OSError as error:
                sent = name_of(error)
            time.sleep(0.2)
            count, end = 0, "EOF"
            try:
                while data := s.recv(65536):
                    count += len(data)
            except OSError as error:
                end = name_of(error)
            # Whether the writer or the reader is told of the reset is chance: not whether the answer came.
            outcomes[count] = outcomes.get(count, 0) + 1
            t.tell()
        t.see("bytes read, times", str(outcomes))


@case(GROUP, "close with bytes unread")
class CloseUnread:
    def server(t):
        s = t.accepted()
        t.readable(s)
        t.settle()
        s.close()
        t.meet()

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"nobody reads this")
        t.meet()
        t.timed("recv", 2, s.recv, 1)
        t.call("recv again", s.recv, 1)
        t.call("send", raw_send, s, b"x")


@case(GROUP, "the server writes, and closes with bytes unread")
class AnswerCloseUnread:
    def server(t):
        s = t.accepted()
        t.readable(s)
        t.settle()
        s.sendall(b"answer")
        t.settle()
        s.close()
        t.meet()

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"nobody reads this")
        t.meet()
        t.settle(0.3)
        t.drain("recv", s)


@case(GROUP, "a reset while the other end waits to read")
class ResetReader:
    def server(t):
        s = t.accepted()
        t.meet()
        t.settle(0.5)
        reset(s)

    def client(t):
        s = t.connected()
        t.meet()
        t.took("recv", 0.3, 3, s.recv, 1)
        t.events("poll", s)


@case(GROUP, "a reset while the other end waits to write", limit=40)
class ResetWriter:
    def server(t):
        s = t.accepted()
        t.meet()
        t.settle(1)
        reset(s)

    def client(t):
        s = t.connected()
        t.meet()
        data = pattern(1 << 20)
        outcome = None
        while outcome is None:
            try:
                s.sendall(data)
            except OSError as error:
                outcome = name_of(error)
        t.see("sendall", outcome)
        t.error("SO_ERROR", s)
        t.call("send", raw_send, s, b"x")


@case(GROUP, "SO_ERROR after a reset, and once more")
class ErrorAfterReset:
    def server(t):
        s = t.accepted()
        t.meet()
        reset(s)

    def client(t):
        s = t.connected()
        t.meet()
        t.await_events("poll", s, select.POLLHUP)
        t.error("SO_ERROR", s)
        t.error("SO_ERROR once more", s)
        t.call("recv", s.recv, 1)
        t.call("send", raw_send, s, b"x")


@case(GROUP, "shutdown of the reading half: the other end goes on writing")
class ReadShutdown:
    def server(t):
        s = t.accepted()
        t.call("shutdown", s.shutdown, socket.SHUT_RD)
        t.call("recv", s.recv, 1)
        t.meet()
        t.settle(0.3)
        t.call("recv of what came after", s.recv, 10)
        t.call("send", s.send, b"still here")
        t.meet()

    def client(t):
        s = t.connected()
        t.meet()
        t.call("send", s.send, b"hello")
        t.call("recv", s.recv, 20)
        t.meet()


@case(GROUP, "shutdown of both halves, then bytes from the other end")
class BothShutdown:
    def server(t):
        s = t.accepted()
        t.call("shutdown", s.shutdown, socket.SHUT_RDWR)
        t.call("recv", s.recv, 1)
        t.meet()
        t.settle(0.5)
        t.meet()

    def client(t):
        s = t.connected()
        t.call("recv", s.recv, 1)
        t.meet()
        t.call("send", raw_send, s, b"hello")
        t.meet()
        write_until_error(t, "send until", s)


@case(GROUP, "SO_LINGER of two seconds: close waits for a reader that does not read", limit=40)
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


@case(GROUP, "SO_LINGER of five seconds: close returns when the other end has all")
class LingerRead:
    def server(t):
        t.drain("recv", t.accepted())

    def client(t):
        s = t.connected()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5))
        s.sendall(pattern(300000))
        t.timed("close", 2, os.close, s.detach())


@case(GROUP, "SO_LINGER: close waits for the few bytes that a reader has no room for", limit=40)
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


@case(GROUP, "the process at the other end is killed")
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


@case(GROUP, "the process at the other end is killed with bytes unread")
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


@case(GROUP, "a second descriptor keeps the connection open")
class SecondDescriptor:
    def server(t):
        s = t.accepted()
        other = s.dup()
        s.close()
        t.meet()
        t.settle(0.3)
        t.call("recv", other.recv, 10)
        other.close()

    def client(t):
        s = t.connected()
        t.meet()
        t.events("poll", s, wait=0.3, mask=select.POLLIN)
        t.call("send", s.send, b"x")
        t.timed("recv", 2, s.recv, 1)


@case(GROUP, "a reset at once on accept, 60 times: what the caller is told", limit=60)
class ResetOnAccept:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        for _ in range(60):
            reset(listener.accept()[0])
        t.meet()

    def client(t):
        t.hear()
        connects, reads = {}, {}
        for _ in range(60):
            s = socket.socket()
            try:
                s.connect(t.address())
                told = "connected"
            except OSError as error:
                told = name_of(error)
            connects[told] = connects.get(told, 0) + 1
            if told == "connected":
                try:
                    told = str(s.recv(1))
                except OSError as error:
                    told = name_of(error)
                reads[told] = reads.get(told, 0) + 1
            s.close()
        t.see("connect", str(connects))
        t.see("recv", str(reads))
        t.meet()


@case(GROUP, "a close at once on accept, 60 times: what the caller is told", limit=60)
class CloseOnAccept:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        for _ in range(60):
            listener.accept()[0].close()
        t.meet()

    def client(t):
        t.hear()
        outcomes = {}
        for _ in range(60):
            s = socket.socket()
            try:
                s.connect(t.address())
                told = f"connected, {s.recv(1)}"
            except OSError as error:
                told = name_of(error)
            outcomes[told] = outcomes.get(told, 0) + 1
            s.close()
        t.see("outcomes", str(outcomes))
        t.meet()


@case(GROUP, "connections that are closed at once, 60 times: what the server reads", limit=60)
class CloseAtOnce:
    def server(t):
        listener = t.listener(backlog=128)
        t.tell()
        outcomes = {}
        for _ in range(60):
            s, _ = listener.accept()
            try:
                told = str(s.recv(10))
            except OSError as error:
                told = name_of(error)
            outcomes[told] = outcomes.get(told, 0) + 1
        t.see("recv", str(outcomes))

    def client(t):
        t.hear()
        for _ in range(60):
            s = socket.socket()
            s.connect(t.address())
            s.close()


@case(GROUP, "a connection that was reset before the server accepts it")
class ResetBeforeAccept:
    def server(t):
        listener = t.listener()
        t.meet()
        t.hear()
        s, caller = listener.accept()
        t.see("accept", t.who(caller))
        t.call("recv", s.recv, 10)

    def client(t):
        t.meet()
        s = t.socket()
        s.connect(t.address())
        reset(s)
        t.settle(0.5)
        t.tell()


@case(GROUP, "bytes and a reset before the server accepts")
class BytesResetBeforeAccept:
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
        s.sendall(b"bytes")
        t.settle(0.3)
        reset(s)
        t.settle(0.5)
        t.tell()


@case(GROUP, "1 MiB, a close at once, and a reader that takes its time", limit=40)
class CloseBehindBytes:
    def server(t):
        t.drain("recv", t.accepted(), slowly=0.02)

    def client(t):
        s = t.connected()
        s.sendall(pattern(1 << 20))
        s.close()


@case(GROUP, "SIGPIPE and EPIPE on a write after one's own shutdown")
class BrokenPipe:
    def server(t):
        t.accepted()
        t.meet()

    def client(t):
        s = t.connected()
        s.shutdown(socket.SHUT_WR)
        signals = []
        signal.signal(signal.SIGPIPE, lambda *_: signals.append(1))
        t.call("send", s.send, b"x")
        t.see("signals", len(signals))
        t.call("send with MSG_NOSIGNAL", raw_send, s, b"x")
        t.see("signals", len(signals))
        t.meet()


@case(GROUP, "the caller resets a connection on which both have half-closed nothing, with bytes on their way")
class ResetWithUnsent:
    def server(t):
        s = t.accepted(setup=lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192))
        t.hear()
        end = None
        try:
            while s.recv(65536):
                pass
            end = "EOF"
        except OSError as error:
            end = name_of(error)
        t.see("ended by", end)

    def client(t):
        s = t.connected()
        s.setblocking(False)
        try:
            while True:
                s.send(pattern(65536))
        except BlockingIOError:
            pass
        reset(s)
        t.settle()
        t.tell()


@case(GROUP, "an end and then a reset: EPIPE where the end was seen")
class EndThenReset:
    def server(t):
        s = t.accepted()
        s.shutdown(socket.SHUT_WR)
        t.hear()
        reset(s)
        t.meet()

    def client(t):
        s = t.connected()
        t.call("recv", s.recv, 1)
        t.tell()
        t.await_events("poll", s, select.POLLHUP)
        t.error("SO_ERROR", s)
        t.call("recv again", s.recv, 1)
        t.call("send", raw_send, s, b"x")
        t.meet()


@case(GROUP, "a reset from the other end after one's own half-close")
class HalfClosedReset:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        reset(s)
        t.meet()

    def client(t):
        s = t.connected()
        s.shutdown(socket.SHUT_WR)
        t.timed("recv", 2, s.recv, 1)
        t.call("recv again", s.recv, 1)
        t.meet()


@case(GROUP, "half-close, then close with the answer unread")
class HalfClosedUnread:
    def server(t):
        s = t.accepted()
        t.drain("recv", s)
        t.call("sendall", s.sendall, b"answer")
        t.meet()
        t.settle(0.5)
        t.await_events("poll", s, select.POLLHUP)
        t.error("SO_ERROR", s)
        t.call("send", raw_send, s, b"x")

    def client(t):
        s = t.connected()
        s.shutdown(socket.SHUT_WR)
        t.readable(s)
        t.settle()
        s.close()
        t.meet()


@case(GROUP, "the program at the other end is killed while it reads a transfer", limit=40)
class KilledReading:
    def server(t):
        listener = t.listener()
        if (process := os.fork()) == 0:
            s, _ = listener.accept()
            while s.recv(65536):
                time.sleep(0.001)
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


@case(GROUP, "the program at the other end is killed while it writes: what was written comes, then EOF", limit=40)
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
