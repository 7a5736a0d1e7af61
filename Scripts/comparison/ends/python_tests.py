"""python_tests.py BROKER ADDRESS MODULE... [+WORD...] [-WORD...]: CPython's own network tests between two places; of
these modules' tests those whose names have one of the words with +, and none of those with -.

A test has both ends in one process and on loopback. Here each TCP socket that connects is made at another place, by
socket_broker.py at the Unix socket BROKER, and only one that is bound is this place's own, whose address is ADDRESS.
The tests go on saying 127.0.0.1, and are told it: what is on the way to the kernel and back is translated. IPv6, Unix
sockets and UDP are left as they are. Says in JSON what came of each test, and how many connections went from place
to place.
"""
import _socket
import faulthandler
import fcntl
import importlib
import json
import os
import socket
import sys
import threading
import unittest

broker_path, here, *modules = sys.argv[1:]
sys.argv[1:] = []
patience = 60 * int(os.environ.get("ISTBPF_TEST_SLOWNESS", "1"))
LOOPBACK = {"127.0.0.1", "localhost"}
crossed = 0
there = set()  # the other place's addresses
broker = None
lock = threading.Lock()
os.register_at_fork(after_in_child=lambda: globals().update(lock=threading.Lock()))


def foreign_socket():
    """The descriptor of a new socket of the other place."""
    global broker
    if broker is None or broker[0] != os.getpid():  # a child has a connection of its own
        connection = _socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(broker_path)
        broker = os.getpid(), connection
    with lock:
        broker[1].send(b"?")
        _, ancillary, _, _ = broker[1].recvmsg(1, socket.CMSG_SPACE(4))
    return int.from_bytes(ancillary[0][2][:4], sys.byteorder)


def put(descriptor, place):
    """Gives the file that `descriptor` stands for to the number that a socket object holds."""
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(place, fcntl.F_GETFL))
    os.dup2(descriptor, place, inheritable=os.get_inheritable(place))
    os.close(descriptor)


def outward(address):
    """As the kernel is asked."""
    if isinstance(address, tuple) and len(address) == 2 and address[0] in LOOPBACK:
        return (here, address[1])
    return address


def inward(address):
    """As the test is told."""
    if isinstance(address, tuple) and len(address) == 2 and (address[0] == here or address[0] in there):
        return ("127.0.0.1", address[1])
    return address


real = {name: getattr(socket.socket, name) for name in (
    "__init__", "bind", "connect", "connect_ex", "accept", "getsockname", "getpeername")}


class Foreign:
    """The sockets of the other place, by object: some classes that tests derive allow no further attributes."""

    def __init__(self):
        self.numbers = {}

    def add(self, sock):
        self.numbers[id(sock)] = sock.fileno()

    def has(self, sock):
        return self.numbers.get(id(sock)) == sock.fileno()

    def drop(self, sock):
        return self.numbers.pop(id(sock), None) == sock.fileno()


foreign = Foreign()


def is_tcp(self):
    return self.family == socket.AF_INET and self.type == socket.SOCK_STREAM


def init(self, family=-1, type=-1, proto=-1, fileno=None):
    foreign.numbers.pop(id(self), None)  # of an object that was there before
    real["__init__"](self, family, type, proto, fileno)
    # Not MPTCP and the like, which a test asks for by name.
    if fileno is None and is_tcp(self) and proto in (-1, 0, socket.IPPROTO_TCP):
        put(foreign_socket(), self.fileno())
        foreign.add(self)


# What a test may have set before it binds.
OPTIONS = [(socket.SOL_SOCKET, name) for name in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_KEEPALIVE)]


def bind(self, address):
    if is_tcp(self) and foreign.drop(self):
        kept = [(*option, self.getsockopt(*option)) for option in OPTIONS]
        own = _socket.socket(self.family, self.type, self.proto)
        put(own.detach(), self.fileno())
        for option in kept:
            self.setsockopt(*option)
    return real["bind"](self, outward(address) if is_tcp(self) else address)


def connecting(name):
    def connect(self, address):
        global crossed
        if not is_tcp(self):
            return real[name](self, address)
        crossed += foreign.has(self)
        try:
            return real[name](self, outward(address))
        finally:
            if foreign.has(self):
                there.update({real["getsockname"](self)[0]} - {"0.0.0.0"})
    return connect


def accept(self):
    # socket.accept makes an object of what _accept gives, and only tells its address otherwise.
    accepted, address = real["accept"](self)
    return accepted, inward(address)


def naming(name):
    return lambda self: inward(real[name](self))


socket.socket.__init__ = init
socket.socket.bind = bind
socket.socket.connect, socket.socket.connect_ex = connecting("connect"), connecting("connect_ex")
socket.socket.accept = accept
socket.socket.getsockname, socket.socket.getpeername = naming("getsockname"), naming("getpeername")


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.outcomes, self.reasons = {}, {}

    def note(self, test, outcome, reason=""):
        if self.outcomes.get(test.id()) not in ("failed", "error"):
            self.outcomes[test.id()] = outcome
        if reason:
            self.reasons[test.id()] = reason[-600:]

    def startTest(self, test):
        super().startTest(test)
        # What hangs ends the run, and says where it is.
        faulthandler.dump_traceback_later(patience, exit=True)
        print(test.id(), file=sys.stderr, flush=True)

    def addSuccess(self, test):
        self.note(test, "passed")

    def addSkip(self, test, reason):
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test, error):
        self.note(test, "passed")

    def addFailure(self, test, error):
        self.note(test, "failed", self._exc_info_to_string(error, test))

    def addError(self, test, error):
        self.note(test, "error", self._exc_info_to_string(error, test))

    def addSubTest(self, test, subtest, error):
        if error:
            self.note(test, "failed", self._exc_info_to_string(error, subtest))


def cases(suite):
    for each in suite:
        yield from cases(each) if isinstance(each, unittest.TestSuite) else [each]


from test import support  # noqa: E402: now that the sockets are those above

support.use_resources = ["network"]  # which binding a socket is
support.verbose = 0
result = Result()
only, without = ([word[1:] for word in modules if word.startswith(sign)] for sign in "+-")
chosen = []
for name in modules:
    if name[0] not in "+-":
        for each in cases(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(name))):
            if (not only or any(word in each.id() for word in only)) and not any(word in each.id() for word in without):
                chosen.append(each)
unittest.TestSuite(chosen).run(result)
print(json.dumps({"outcomes": result.outcomes, "reasons": result.reasons, "crossed": crossed}))
os._exit(0)
