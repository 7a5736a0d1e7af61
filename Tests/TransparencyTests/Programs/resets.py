"""RST, and what it leaves to be read."""

import select, socket, time

from end import name_of, pattern, reset
from ending import raw_send
from table import ENDS, case


@case(ENDS, "linger 0: the caller resets")
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


@case(ENDS, "linger 0: the server resets")
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


@case(ENDS, "8 bytes, then linger 0: what is read before the reset", limit=60)
class BytesThenReset:
    def server(t):
        bytes_then_reset(t, 8, 0)

    client = read_bytes_before_reset


@case(ENDS, "30,000 bytes, then linger 0: what is read before the reset", limit=60)
class ManyBytesThenReset:
    def server(t):
        bytes_then_reset(t, 30000, 0.05)

    client = read_bytes_before_reset


@case(ENDS, "3 bytes, then close with 100 kB unread: what is read before the reset", limit=60)
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


@case(ENDS, "close with bytes unread")
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


@case(ENDS, "the server writes, and closes with bytes unread")
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


@case(ENDS, "a reset while the other end waits to read")
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


@case(ENDS, "a reset while the other end waits to write", limit=40)
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


@case(ENDS, "SO_ERROR after a reset, and once more")
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


@case(ENDS, "a reset at once on accept, 60 times: what the caller is told", limit=60)
class ResetOnAccept:
    def server(t):
        listener = t.listener(backlog=64)
        t.tell()
        for _ in range(60):
            reset(listener.accept()[0])
        t.meet()

    def client(t):
        t.hear()
        outcomes = {}
        for _ in range(60):
            s = socket.socket()
            try:
                # Now and then the reset comes before connect() returns, also direct.
                s.connect(t.address())
                told = str(s.recv(1))
            except OSError as error:
                told = name_of(error)
            outcomes[told] = outcomes.get(told, 0) + 1
            s.close()
        t.see("connect or recv", str(outcomes))
        t.meet()


@case(ENDS, "a connection that was reset before the server accepts it")
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


@case(ENDS, "bytes and a reset before the server accepts")
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


@case(ENDS, "the caller resets a connection on which both have half-closed nothing, with bytes on their way")
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


@case(ENDS, "an end and then a reset: EPIPE where the end was seen")
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


@case(ENDS, "a reset from the other end after one's own half-close")
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


@case(ENDS, "half-close, then close with the answer unread")
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
