"""TCP out of the container: every way to open, address and send."""

import ctypes, os, socket, struct, time

import uring

PATIENCE = 0.08 * int(os.environ.get("ISTBPF_TEST_SLOWNESS", 1)) ** 0.5
IP_FREEBIND, IP_TRANSPARENT, IPV6_RTHDR = 15, 19, 57
TCP_REPAIR, TCP_FASTOPEN_CONNECT, MPTCP = 19, 30, 262
SO_BINDTOIFINDEX = 62


def stream(family=socket.AF_INET, protocol=0):
    client = socket.socket(family, socket.SOCK_STREAM, protocol)
    client.settimeout(PATIENCE)
    return client


def connect(at, port, to, family=socket.AF_INET, protocol=0, prepare=None):
    client = stream(family, protocol)
    try:
        if prepare:
            prepare(client)
        client.connect((at[to], port) if to in at else (to, port))
        client.sendall(b"let me out")
    finally:
        # Not when the caller's frame ends: a SYN that is repeated after the caller has taken its routes
        # and addresses back would be another attempt.
        client.close()


def gateway(at, port):
    connect(at, port, "gateway")


def neighbour(at, port):
    connect(at, port, "neighbour")


def routed(at, port):
    connect(at, port, "far")


def allowed(at, port):
    """Another: what an egress rule's name has, at the rule's port."""
    client = stream()
    client.settimeout(5)
    client.connect((at["allowed"], 443))


def other_port(at, port):
    connect(at, port, "allowed")


def metadata(at, port):
    connect(at, port, "169.254.169.254")


QUERY = b"\0\x1d\0\0\1\0\0\1\0\0\0\0\0\0\7example\3org\0\0\1\0\1"


def resolver_of_host(at, port):
    connect(at, 53, "gateway")


def resolver_of_engine(at, port):
    """A socket of somebody else's in its own network namespace, as Docker has one there."""
    client = stream()
    client.connect(("127.0.0.11", 53))
    client.sendall(QUERY)
    return f"breach: {client.recv(100).decode()}"


def gateway6(at, port):
    connect(at, port, "gateway6", socket.AF_INET6)


def routed6(at, port):
    connect(at, port, "far6", socket.AF_INET6)


def link_local6(at, port):
    stream(socket.AF_INET6).connect((at["link_local6"], port, 0, socket.if_nametoindex("eth0")))


def mapped(at, port):
    connect(at, port, "::ffff:" + at["gateway"], socket.AF_INET6)


def compatible(at, port):
    connect(at, port, "::" + at["gateway"], socket.AF_INET6)


def nat64(at, port):
    connect(at, port, "64:ff9b::" + at["gateway"], socket.AF_INET6)


def without_waiting(at, port):
    client = stream()
    client.setblocking(False)
    error = client.connect_ex((at["gateway"], port))
    if error and error != 115:  # EINPROGRESS
        raise OSError(error, "connect")


def fast_open(at, port):
    stream().sendto(b"let me out", socket.MSG_FASTOPEN, (at["gateway"], port))


def fast_open6(at, port):
    stream(socket.AF_INET6).sendto(b"let me out", socket.MSG_FASTOPEN, (at["gateway6"], port))


def fast_open_connect(at, port):
    connect(at, port, "gateway", prepare=lambda c: c.setsockopt(6, TCP_FASTOPEN_CONNECT, 1))


def multipath(at, port):
    connect(at, port, "gateway", protocol=MPTCP)


def multipath6(at, port):
    connect(at, port, "gateway6", socket.AF_INET6, MPTCP)


def multipath_mapped(at, port):
    connect(at, port, "::ffff:" + at["gateway"], socket.AF_INET6, MPTCP)


def repair(at, port):
    """A connection that is simply declared established."""
    client = stream()
    client.setsockopt(6, TCP_REPAIR, 1)
    client.bind((at["eth0"], 0))
    client.connect((at["gateway"], port))
    client.setsockopt(6, TCP_REPAIR, 0)
    client.send(b"let me out")


def ring_connect(at, port):
    client = stream()
    client.setblocking(True)
    uring.connect(client.fileno(), at["gateway"], port)


def ring_socket(at, port):
    """Both the socket and the connect by io_uring."""
    uring.connect(uring.make_socket(socket.AF_INET, socket.SOCK_STREAM), at["gateway"], port)


def simultaneous(at, port):
    """Both ends from the port that they connect to."""
    def prepare(client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((at["eth0"], port))
    connect(at, port, "gateway", prepare=prepare)


def bound(at, port, source):
    connect(at, port, "gateway", prepare=lambda c: c.bind((source, 0)))


def bound_to_loopback(at, port):
    bound(at, port, "127.0.0.1")


def bound_to_own(at, port):
    bound(at, port, at["own"])


def bound_to_eth0(at, port):
    bound(at, port, at["eth0"])


def bound_to_privileged(at, port):
    def prepare(client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((at["eth0"], 53))
    connect(at, port, "gateway", prepare=prepare)


def option_then(level, option, value, address):
    def prepare(client):
        client.setsockopt(level, option, value)
        client.bind((address, 0))
    return prepare


def transparent(at, port):
    connect(at, port, "gateway", prepare=option_then(0, IP_TRANSPARENT, 1, at["foreign"]))


def free_bind(at, port):
    connect(at, port, "gateway", prepare=option_then(0, IP_FREEBIND, 1, at["foreign"]))


def nonlocal_bind(at, port):
    """By a sysctl of the namespace, which belongs to uid 0 of it."""
    with open("/proc/sys/net/ipv4/ip_nonlocal_bind", "w") as file:
        file.write("1")
    bound(at, port, at["foreign"])


def device(at, port):
    connect(at, port, "gateway", prepare=lambda c: c.setsockopt(1, socket.SO_BINDTODEVICE, b"eth0"))


def range_by_eth0(at, port):
    """The deployment's own addresses, asked of whoever is on the bridge."""
    connect(at, port, "db", prepare=lambda c: c.setsockopt(1, socket.SO_BINDTODEVICE, b"eth0"))


def range_by_index(at, port):
    connect(at, port, "db", prepare=lambda c: c.setsockopt(1, SO_BINDTOIFINDEX, socket.if_nametoindex("eth0")))


def loopback_by_eth0(at, port):
    """127.0.0.0/8 passes; over eth0 it is the host's, where that has route_localnet."""
    connect(at, port, "127.9.9.9", prepare=lambda c: c.setsockopt(1, socket.SO_BINDTODEVICE, b"eth0"))


def loopback6_by_eth0(at, port):
    connect(at, port, "::1", socket.AF_INET6, prepare=lambda c: c.setsockopt(1, socket.SO_BINDTODEVICE, b"eth0"))


def own_link(at, port):
    """ist0, which a program may choose: what goes there the switch sees."""
    connect(at, port, "gateway", prepare=lambda c: c.setsockopt(1, socket.SO_BINDTODEVICE, b"ist0"))


def loopback_by_own_link(at, port):
    connect(at, port, "127.9.9.9", prepare=lambda c: c.setsockopt(1, socket.SO_BINDTODEVICE, b"ist0"))


def rebound(at, port):
    """A connection that is allowed, moved to eth0 once it is established."""
    client = stream()
    client.setsockopt(1, socket.SO_LINGER, struct.pack("=ii", 1, 0))  # no attempts after the end
    client.connect((at["db"], 3211))
    client.setsockopt(1, socket.SO_BINDTODEVICE, b"eth0")
    client.sendall(b"let me out")
    time.sleep(PATIENCE)


def source_route(at, port):
    """A connect to an instance by way of the gateway: the packet is addressed to the gateway."""
    hops = bytes([131, 7, 4]) + socket.inet_aton(at["gateway"]) + bytes(1)
    connect(at, port, "db", prepare=lambda c: c.setsockopt(0, socket.IP_OPTIONS, hops))


def strict_source_route(at, port):
    hops = bytes([137, 7, 4]) + socket.inet_aton(at["gateway"]) + bytes(1)
    connect(at, port, "127.0.0.1", prepare=lambda c: c.setsockopt(0, socket.IP_OPTIONS, hops))


def routing_header(at, port):
    """IPv6: a connect to ::1 by way of the gateway (RFC 8754)."""
    segments = socket.inet_pton(socket.AF_INET6, "::1") + socket.inet_pton(socket.AF_INET6, at["gateway6"])
    header = struct.pack("!BBBBBBH", 0, 4, 4, 1, 1, 0, 0) + segments
    connect(at, port, "::1", socket.AF_INET6, prepare=lambda c: c.setsockopt(41, IPV6_RTHDR, header))


def again(at, port):
    """Connected to an instance, disconnected, connected elsewhere."""
    client = stream()
    client.connect((at["db"], 3211))
    unspecified = struct.pack("=H14x", socket.AF_UNSPEC)
    ctypes.CDLL(None).connect(client.fileno(), unspecified, len(unspecified))
    client.connect((at["gateway"], port))


def again_on_a_copy(at, port):
    """The same socket by a second descriptor, in a child."""
    client = stream()
    copy = socket.socket(fileno=os.dup(client.fileno()))
    copy.settimeout(PATIENCE)
    copy.connect((at["gateway"], port))


def from_a_listener(at, port):
    client = stream()
    client.bind(("0.0.0.0", 0))
    client.listen(1)
    client.connect((at["gateway"], port))


def many(at, port):
    """From threads at once: none slips through between two others."""
    import threading

    errors = []

    def one():
        try:
            connect(at, port, "gateway")
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(errors) == len(threads):
        raise errors[0]


def unspecified_family(at, port):
    """AF_UNSPEC with an address: a disconnect, never a connect."""
    client = stream()
    address = struct.pack("=H", socket.AF_UNSPEC) + struct.pack("!H", port) + socket.inet_aton(at["gateway"]) + bytes(8)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(client.fileno(), address, len(address)) < 0:
        raise OSError(ctypes.get_errno(), "connect")
    client.send(b"let me out")


def v4_address_on_v6_socket(at, port):
    """An IPv4 sockaddr given to an IPv6 socket."""
    client = stream(socket.AF_INET6)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(at["gateway"]) + bytes(20)
    libc = ctypes.CDLL(None, use_errno=True)
    client.setblocking(True)
    if libc.connect(client.fileno(), address, len(address)) < 0:
        raise OSError(ctypes.get_errno(), "connect")


def broadcast(at, port):
    connect(at, port, "255.255.255.255")


def multicast(at, port):
    connect(at, port, "224.0.0.1")


# The fabric and other instances as targets.


def service(at, port):
    """The positive control: this is allowed."""
    client = stream()
    client.settimeout(5)
    client.connect((at["db_service"], 3211))
    client.recv(1)


def relay(at, port):
    connect(at, 15001, "fabric")


def fabric_port(at, port):
    connect(at, 80, "fabric")


def fabric_block(at, port):
    connect(at, 15001, "fabric_other")


def link_gateway(at, port):
    connect(at, port, "link_gateway")


def relay_mapped(at, port):
    connect(at, 15001, "::ffff:" + at["fabric"], socket.AF_INET6)


def relay_fast_open(at, port):
    stream().sendto(b"let me out", socket.MSG_FASTOPEN, (at["fabric"], 15001))


def tunnel(at, port):
    connect(at, 7443, "far")


def runner_from_ist0(at, port):
    def prepare(client):
        client.bind((at["own"], 0))
    connect(at, 7443, "gateway", prepare=prepare)


def undeclared(at, port):
    connect(at, port, "198.18.9.1")


def undeclared_instance(at, port):
    connect(at, port, "198.18.9.2")


def absent_instance(at, port):
    connect(at, 3211, "198.18.2.77")


def network_of_service(at, port):
    connect(at, 3211, "198.18.2.0")


def broadcast_of_service(at, port):
    connect(at, 3211, "198.18.2.255")


def end_of_range(at, port):
    connect(at, port, "198.19.255.255")
