"""Whom each end sees: addresses and ports."""

import errno, select, socket, struct, time

from end import name_of, reset
from table import case

GROUP = "Addresses and ports"
MPTCP = 262


def look(t, s):
    t.see("getsockname", t.who(s.getsockname()))
    t.see("getpeername", t.who(s.getpeername()))


def accept(t, **options):
    listener = t.listener(**options)
    t.tell()
    s, caller = listener.accept()
    t.see("accept", t.who(caller))
    look(t, s)
    return t.keep(s), caller


@case(GROUP, "names at both ends: the caller's instance address, and the address asked for")
class Names:
    def server(t):
        s, _ = accept(t)
        t.meet()
        t.drain("recv", s)
        t.see("getpeername after the end", t.who(s.getpeername()))

    def client(t):
        s = t.socket()
        t.see("getsockname of a new socket", t.who(s.getsockname()))
        t.hear()
        s.connect(t.address())
        look(t, s)
        t.meet()
        s.shutdown(socket.SHUT_WR)
        t.see("getpeername after shutdown", t.who(s.getpeername()))


@case(GROUP, "names by the server's instance address")
class NamesByInstance:
    def server(t):
        s, _ = accept(t)
        t.call("recv", s.recv, 10)

    def client(t):
        t.asked = t.peer
        s = t.connected()
        look(t, s)
        t.call("send", s.send, b"x")


@case(GROUP, "the caller's port, as both ends see it")
class SourcePort:
    def server(t):
        s, caller = accept(t)
        t.see("same port", t.hear() == caller[1])

    def client(t):
        s = t.connected()
        t.tell(s.getsockname()[1])


@case(GROUP, "a port that the caller chose")
class ChosenPort:
    def server(t):
        s, caller = accept(t)
        t.see("chosen port", caller[1] - t.port)

    def client(t):
        s = t.connected(lambda s: s.bind(("0.0.0.0", t.port + 5)))
        look(t, s)


@case(GROUP, "a port below 1024 that the caller chose")
class LowPort:
    def server(t):
        s, caller = accept(t)
        t.see("port", caller[1])

    def client(t):
        s = t.connected(lambda s: s.bind((t.own, 701)))
        t.see("port", s.getsockname()[1])


@case(GROUP, "a caller bound to its own address, by IP_BIND_ADDRESS_NO_PORT")
class BoundWithoutPort:
    def server(t):
        accept(t)

    def client(t):
        def setup(s):
            s.setsockopt(socket.IPPROTO_IP, 24, 1)
            s.bind((t.own, 0))
            t.see("bound", t.who(s.getsockname()))

        look(t, t.connected(setup))


@case(GROUP, "the same port again, 200 connections one after the other", limit=60)
class PortAgain:
    def server(t):
        listener = t.listener()
        t.tell()
        ports = set()
        for _ in range(200):
            s, caller = listener.accept()
            s.sendall(s.recv(1))
            s.close()
            ports.add(caller[1] - t.port)
        t.see("ports", str(sorted(ports)))

    def client(t):
        t.hear()
        outcomes = {}
        for _ in range(200):
            outcome = once_from(t, t.port + 5)
            # The last one's end may be on its way yet.
            while outcome == "EADDRNOTAVAIL":
                outcome = once_from(t, t.port + 5)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        t.see("outcomes", str(outcomes))


def once_from(t, port):
    """A connection from this port that the server ends first; what came of it."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((t.own, port))
        begin = time.monotonic()
        try:
            s.connect(t.address())
            slow = ", slow connect" if time.monotonic() > begin + 0.8 else ""
            s.sendall(b"a")
            return f"{s.recv(1)} {s.recv(1)}{slow}"
        except OSError as error:
            return name_of(error)


@case(GROUP, "the caller's port while its last connection is in TIME_WAIT")
class TimeWait:
    def server(t):
        listener = t.listener()
        t.tell()
        for _ in range(2):
            s, _ = listener.accept()
            t.call("recv", s.recv, 10)
            s.close()

    def client(t):
        t.hear()
        for number in range(2):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((t.own, t.port + 5))
            t.call("connect", s.connect, t.address())
            t.call("send", s.send, b"x")
            # Its own end first, so that TIME_WAIT is here.
            s.shutdown(socket.SHUT_WR)
            t.call("recv", s.recv, 1)
            s.close()
            t.settle()


@case(GROUP, "one socket and port, two connections at once (EADDRNOTAVAIL)")
class PortTaken:
    def server(t):
        listener = t.listener()
        t.tell()
        t.keep(listener.accept()[0])
        t.meet()

    def client(t):
        t.hear()
        for _ in range(2):
            s = t.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            t.call("bind", s.bind, (t.own, t.port + 5))
            t.call("connect", s.connect, t.address())
        t.meet()


@case(GROUP, "one caller's port to two ports of the server at once")
class PortTwice:
    def server(t):
        listeners = [t.listener(offset=n) for n in range(2)]
        t.tell()
        for listener in listeners:
            s, caller = listener.accept()
            t.see("caller's port", caller[1] - t.port)
            t.call("recv", t.keep(s).recv, 10)

    def client(t):
        t.hear()
        for n in range(2):
            s = t.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind((t.own, t.port + 5))
            t.call("connect", s.connect, t.address(n))
            t.call("send", s.send, b"x")


@case(GROUP, "a listener that is taken away and comes back (SO_REUSEADDR)")
class ListenerAgain:
    def server(t):
        for _ in range(3):
            listener = t.listener()
            t.tell()
            s, _ = listener.accept()
            t.call("recv", s.recv, 10)
            listener.close()
            s.close()

    def client(t):
        for _ in range(3):
            s = t.connected()
            t.call("send", s.send, b"x")
            t.call("recv", s.recv, 1)


@case(GROUP, "two listeners on one port (SO_REUSEPORT) share the callers")
class ReusePort:
    def server(t):
        share = lambda l: l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listeners = [t.listener(backlog=64, setup=share) for _ in range(2)]
        t.meet()
        t.hear()
        counts = []
        for listener in listeners:
            listener.setblocking(False)
            counts.append(0)
            try:
                while True:
                    t.keep(listener.accept()[0])
                    counts[-1] += 1
            except BlockingIOError:
                pass
        t.see("all", sum(counts))
        t.see("both have some", min(counts) > 0)
        t.meet()

    def client(t):
        t.meet()
        for _ in range(40):
            t.socket().connect(t.address())
        t.settle()
        t.tell()
        t.meet()


@case(GROUP, "a listener on the instance's own address")
class OwnAddressListener:
    def server(t):
        accept(t, host=t.own)
        t.meet()

    def client(t):
        look(t, t.connected())
        t.meet()


@case(GROUP, "a listener on loopback alone")
class LoopbackListener:
    def server(t):
        t.listener(host="127.0.0.1")
        t.meet()
        t.meet()

    def client(t):
        t.meet()
        t.timed("connect", 1, t.socket().connect, t.address())
        t.meet()


def ipv6(only):
    return lambda l: l.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)


@case(GROUP, "a listener on :: that takes IPv4 too")
class DualListener:
    def server(t):
        s, _ = accept(t, host="::", family=socket.AF_INET6, setup=ipv6(0))
        t.call("send", s.send, b"x")

    def client(t):
        s = t.connected()
        look(t, s)
        t.call("recv", s.recv, 10)


@case(GROUP, "a listener on :: for IPv6 alone")
class IPv6OnlyListener:
    def server(t):
        t.listener(host="::", family=socket.AF_INET6, setup=ipv6(1))
        t.meet()
        t.meet()

    def client(t):
        t.meet()
        t.timed("connect", 1, t.socket().connect, t.address())
        t.meet()


@case(GROUP, "an IPv6 socket to the IPv4-mapped address")
class Mapped:
    def server(t):
        s, _ = accept(t)
        t.call("send", s.send, b"x")

    def client(t):
        t.hear()
        s = t.socket(socket.AF_INET6)
        t.timed("connect", 1, s.connect, ("::ffff:" + t.asked, t.port))
        look(t, s)
        t.call("recv", s.recv, 10)


@case(GROUP, "an IPv6 socket to the IPv4-mapped address of a closed port")
class MappedClosedPort:
    def server(t):
        t.meet()

    def client(t):
        s = t.socket(socket.AF_INET6)
        t.timed("connect", 1, s.connect, ("::ffff:" + t.asked, t.port))
        t.meet()


@case(GROUP, "an MPTCP socket to a TCP listener")
class MPTCPCaller:
    def server(t):
        s, _ = accept(t)
        t.call("recv", s.recv, 10)
        t.call("send", s.send, b"y")
        t.meet()

    def client(t):
        t.hear()
        s = t.socket(protocol=MPTCP)
        t.timed("connect", 1, s.connect, t.address())
        look(t, s)
        t.call("send", s.send, b"x")
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))
        t.meet()


def fell_back(s):
    """Whether MPTCP_INFO fails, as it does after a fallback to plain TCP."""
    try:
        s.getsockopt(284, 1, 64)
        return False
    except OSError as error:
        return name_of(error)


@case(GROUP, "an MPTCP socket to an MPTCP listener")
class MPTCPBoth:
    def server(t):
        s, _ = accept(t, protocol=MPTCP)
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))
        t.call("send", s.send, b"y")
        t.drain("to the end", s)

    def client(t):
        t.hear()
        s = t.socket(protocol=MPTCP)
        t.timed("connect", 1, s.connect, t.address())
        look(t, s)
        t.call("send", s.send, b"x")
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))
        s.shutdown(socket.SHUT_WR)
        t.call("recv at the end", s.recv, 10)


@case(GROUP, "a TCP socket to an MPTCP listener")
class MPTCPListener:
    def server(t):
        s, _ = accept(t, protocol=MPTCP)
        t.call("recv", s.recv, 10)
        t.see("fell back to TCP", fell_back(s))

    def client(t):
        s = t.connected()
        t.call("send", s.send, b"x")


@case(GROUP, "names after a reset")
class NamesAfterReset:
    def server(t):
        s, _ = accept(t)
        t.hear()
        reset(s)

    def client(t):
        s = t.connected()
        t.tell()
        t.call("recv", s.recv, 1)
        t.call("getpeername", s.getpeername)
        t.see("getsockname", t.who(s.getsockname()))


@case(GROUP, "the server calls the caller back")
class Back:
    def server(t):
        s, caller = accept(t)
        t.hear()
        back = t.socket()
        t.timed("connect", 1, back.connect, (caller[0], t.port + 1))
        t.call("recv", back.recv, 10)

    def client(t):
        listener = t.listener(offset=1)
        t.connected()
        t.tell()
        s, caller = listener.accept()
        t.see("accept", "the server" if caller[0] == t.peer else caller[0])
        t.call("send", s.send, b"back")


@case(GROUP, "the SYN that the server may save (TCP_SAVE_SYN)")
class SavedSYN:
    def server(t):
        s, caller = accept(t, setup=lambda l: l.setsockopt(socket.IPPROTO_TCP, 27, 1))
        syn = s.getsockopt(socket.IPPROTO_TCP, 28, 120)
        t.see("its source", t.who((socket.inet_ntoa(syn[12:16]), 1)))
        t.see("its destination", t.who((socket.inet_ntoa(syn[16:20]), t.port)))
        t.see("its ports are the connection's", struct.unpack("!HH", syn[20:24]) == (caller[1], t.port))

    def client(t):
        t.connected()


@case(GROUP, "one listener for IPv4 and one for IPv6 alone, on one port")
class TwoFamilies:
    def server(t):
        t.listener(host="::", family=socket.AF_INET6, setup=ipv6(1))
        accept(t)
        t.meet()

    def client(t):
        t.connected()
        t.meet()


@case(GROUP, "an IPv6 socket bound to its own IPv4-mapped address")
class MappedBound:
    def server(t):
        accept(t)

    def client(t):
        t.hear()
        s = t.socket(socket.AF_INET6)
        t.call("bind", s.bind, ("::ffff:" + t.own, t.port + 5))
        t.call("connect", s.connect, ("::ffff:" + t.asked, t.port))
        look(t, s)


@case(GROUP, "the connection as /proc/net/tcp lists it")
class Listed:
    def server(t):
        s, _ = accept(t)
        t.see("listed", listed(t, s))
        t.meet()

    def client(t):
        s = t.connected()
        t.see("listed", listed(t, s))
        t.meet()


def listed(t, s):
    """Who the other end is, in the kernel's own list."""
    port = f"{s.getsockname()[1]:04X}"
    with open("/proc/net/tcp") as file:
        for line in file:
            _, local, remote, state = line.split()[:4]
            if local.endswith(":" + port) and state == "01":
                host, port = remote.split(":")
                return t.who((socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16)))
    return "not there"


@case(GROUP, "no trace of a translation (SO_ORIGINAL_DST)")
class OriginalDestination:
    def server(t):
        s, _ = accept(t)
        t.call("getsockopt", s.getsockopt, socket.IPPROTO_IP, 80, 16)
        t.meet()

    def client(t):
        s = t.connected()
        t.call("getsockopt", s.getsockopt, socket.IPPROTO_IP, 80, 16)
        t.meet()


@case(GROUP, "bind to an address that is not one's own")
class ForeignBind:
    def server(t):
        pass

    def client(t):
        t.call("bind", t.socket().bind, (t.peer, 0))
        t.call("bind to the asked", t.socket().bind, (t.asked, 0))
