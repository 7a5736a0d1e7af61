"""What a case has at its end: what it saw, a channel to the other end, and sockets.

The channel is a Unix socket, not the path under test. What is seen must be the same wherever the program
runs: addresses are told by their roles, and times only as to whether they are within a limit."""

import errno, fcntl, hashlib, json, os, select, signal, socket, struct, termios, time

V4 = socket.AF_INET
SLOWNESS = int(os.environ.get("ISTBPF_TEST_SLOWNESS", "1"))


class Over(Exception):
    """The case is over at the other end, or took too long."""


def name_of(error):
    return errno.errorcode.get(error.errno, str(error)) if error.errno else str(error)


def digest(data):
    return f"{len(data)} bytes {hashlib.sha256(data).hexdigest()[:8]}"


def pattern(count):
    """So many bytes, the same at both ends."""
    return (b"0123456789abcdefghijklmnopqrstu\n" * (count // 32 + 1))[:count]


def events_text(bits):
    names = {"POLLRDHUP": 0x2000}
    names |= {n: getattr(select, n) for n in ("POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP")}
    found = [name for name, bit in names.items() if bits & bit]
    return " ".join(sorted(found)) or "nothing"


class End:
    """One end of a case: `asked` is the address that a caller asks for, `peer` the other's own."""

    def __init__(self, role, facts, case, channel, lines):
        self.role, self.key, self.port = role, case.key, case.port
        self.own, self.asked, self.peer = facts["own"], facts["asked"], facts["peer"]
        self.own_asked, self.empty = facts["own_asked"], facts["empty"]
        self.directory = facts["directory"]
        self.channel, self.lines = channel, lines
        self.seen, self.kept = [], []

    # What is compared

    def see(self, label, value):
        known = [seen for seen, _ in self.seen]
        unique, number = label, 1
        while unique in known:
            number += 1
            unique = f"{label} ({number})"
        if isinstance(value, (bytes, bytearray)):
            value = digest(bytes(value)) if len(value) > 40 else bytes(value).decode("latin-1")
        self.seen.append([unique, value])
        return value

    def call(self, label, function, *arguments):
        """Calls it and sees what it returns, or the errno's name. Returns what it returned, or None."""
        try:
            result = function(*arguments)
        except OSError as error:
            self.see(label, name_of(error))
            return None
        plain = isinstance(result, (int, str, bytes, bytearray, list, type(None)))
        self.see(label, result if plain else type(result).__name__)
        return result

    def timed(self, label, limit, function, *arguments):
        """As `call`; sees besides whether it took no longer than so many seconds."""
        begin = time.monotonic()
        result = self.call(label, function, *arguments)
        taken = time.monotonic() - begin
        within = taken <= limit * SLOWNESS
        self.see(f"{label}: time", f"within {limit} s" if within else f"{taken:.1f} s")
        return result

    def took(self, label, least, most, function, *arguments):
        """As `call`; sees besides whether the time is between two limits in seconds."""
        begin = time.monotonic()
        result = self.call(label, function, *arguments)
        taken = time.monotonic() - begin
        within = least <= taken <= most * SLOWNESS
        self.see(f"{label}: time", f"{least} to {most} s" if within else f"{taken:.1f} s")
        return result

    # The channel

    def tell(self, value=None):
        try:
            self.channel.sendall((json.dumps(value) + "\n").encode())
        except OSError:
            raise Over("the other end is over")

    def hear(self):
        line = self.lines.readline()
        if not line:
            raise Over("the other end is over")
        return json.loads(line)

    def meet(self):
        """Returns when both ends are here."""
        self.tell()
        self.hear()

    def settle(self, seconds=0.15):
        """Lets what is on its way arrive."""
        time.sleep(seconds * SLOWNESS)

    # The wire, which the tests cut and mend

    def cut(self):
        """Says that this case is ready; returns when the wire is cut."""
        with open(f"{self.directory}/{self.key}.ready", "w"):
            pass
        self.await_file("cut")

    def mended(self):
        """Returns when the wire is as before."""
        self.await_file("mended")

    def await_file(self, name):
        while not os.path.exists(f"{self.directory}/{name}"):
            time.sleep(0.02)

    # Addresses

    def address(self, offset=0):
        """Where the server listens, as a caller asks for it."""
        return (self.asked, self.port + offset)

    def who(self, address):
        """An address by its role: as `own, the port`."""
        host, port = address[:2]
        mapped = "mapped " if host.startswith("::ffff:") else ""
        host = host.removeprefix("::ffff:")
        roles = {self.own: "own"}
        if self.role == "server":
            roles = {self.asked: "the asked", self.peer: "the caller's"} | roles
        else:
            roles = {self.peer: "the server's instance", self.asked: "the asked"} | roles
        roles |= {"0.0.0.0": "any", "127.0.0.1": "loopback"}
        told = "the port" if port == self.port else "0" if port == 0 else "a port"
        return f"{mapped}{roles.get(host, host)}, {told}"

    # Sockets

    def keep(self, thing):
        """Not closed before the case is over."""
        self.kept.append(thing)
        return thing

    def socket(self, family=V4, protocol=0):
        return self.keep(socket.socket(family, socket.SOCK_STREAM, protocol))

    def listener(self, backlog=16, offset=0, host="0.0.0.0", family=V4, setup=None, protocol=0):
        """A listening socket on the case's port."""
        listener = self.socket(family, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if setup:
            setup(listener)
        listener.bind((host, self.port + offset))
        listener.listen(backlog)
        return listener

    def accepted(self, **options):
        """The server's end of a connection; the client calls `connected`."""
        listener = self.listener(**options)
        self.tell("listens")
        return self.keep(listener.accept()[0])

    def connected(self, setup=None):
        """The client's end of a connection; the server calls `accepted`."""
        self.hear()
        client = self.socket()
        if setup:
            setup(client)
        client.connect(self.address())
        return client

    # Looking at sockets

    def events(self, label, sock, wait=0.0, mask=0x203F):
        """What poll() reports; waits up to so many seconds for anything."""
        poll = select.poll()
        poll.register(sock, mask)
        found = poll.poll(wait * SLOWNESS * 1000)
        self.see(label, events_text(found[0][1]) if found else "nothing")

    def await_events(self, label, sock, wanted, patience=5.0, mask=0x203F):
        """What poll() reports once all of `wanted` is there, and what else came shortly after."""
        poll = select.poll()
        poll.register(sock, mask)
        deadline = time.monotonic() + patience * SLOWNESS
        while time.monotonic() < deadline:
            found = poll.poll(0)
            if found and found[0][1] & wanted == wanted:
                break
            time.sleep(0.01)
        self.settle(0.1)
        found = poll.poll(0)
        self.see(label, events_text(found[0][1]) if found else "nothing")

    def readable(self, sock, patience=5.0):
        """Waits until something can be read, an end or an error included."""
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(patience * SLOWNESS * 1000))

    def drain(self, label, sock, size=65536, slowly=0.0, counts=True):
        """Reads to the end: how much came unless `counts` is false, and how it ended."""
        got, count, end = hashlib.sha256(), 0, "EOF"
        try:
            while data := sock.recv(size):
                got.update(data)
                count += len(data)
                time.sleep(slowly)
        except OSError as error:
            end = name_of(error)
        self.see(label, f"{count} bytes {got.hexdigest()[:8]}, then {end}" if counts else end)

    def patience(self, sock, seconds):
        """A read that waits longer than this gives EAGAIN."""
        value = struct.pack("ll", int(seconds * SLOWNESS), 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)

    def exactly(self, sock, count):
        """So many bytes, or fewer if it ends."""
        data = b""
        while len(data) < count and (part := sock.recv(min(count - len(data), 1 << 20))):
            data += part
        return data

    def ioctl(self, label, sock, request):
        value = struct.unpack("i", fcntl.ioctl(sock, request, b"\0" * 4))[0]
        return self.see(label, value)

    def state(self, label, sock):
        """TCP_INFO's state of the connection."""
        states = (
            "? ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK "
            "LISTEN CLOSING"
        )
        self.see(label, states.split()[sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]])

    def error(self, label, sock):
        """SO_ERROR, which reading clears."""
        value = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return self.see(label, errno.errorcode.get(value, value))


def reset(sock):
    """Closes with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


SIOCINQ, SIOCOUTQ, SIOCATMARK, SIOCOUTQNSD = termios.FIONREAD, termios.TIOCOUTQ, 0x8905, 0x894B
