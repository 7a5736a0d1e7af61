"""UDP, which does not exist: every way to send a datagram, and multicast reports of the kernel's own."""

import ctypes, os, select, socket, struct, time

import uring

UDPLITE, UDP_CORK, UDP_SEGMENT = 136, 1, 103
IP_PKTINFO, IPV6_PKTINFO, IP_UNICAST_IF, IP_RECVERR = 8, 50, 50, 11
MSG_ZEROCOPY, SO_ZEROCOPY = 0x4000000, 60
DATA = b"let me out"
libc = ctypes.CDLL(None, use_errno=True)


def datagram(family=socket.AF_INET, protocol=0):
    return socket.socket(family, socket.SOCK_DGRAM, protocol)


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def send(at, port):
    datagram().sendto(DATA, (at["gateway"], port))


def send_to_neighbour(at, port):
    datagram().sendto(DATA, (at["neighbour"], port))


def send_routed(at, port):
    datagram().sendto(DATA, (at["far"], port))


def send6(at, port):
    datagram(socket.AF_INET6).sendto(DATA, (at["gateway6"], port))


def send_link_local6(at, port):
    datagram(socket.AF_INET6).sendto(DATA, (at["link_local6"], port, 0, socket.if_nametoindex("eth0")))


def send_mapped(at, port):
    datagram(socket.AF_INET6).sendto(DATA, ("::ffff:" + at["gateway"], port))


def send_nothing(at, port):
    datagram().sendto(b"", (at["gateway"], port))


def connected(at, port):
    client = datagram()
    client.connect((at["gateway"], port))
    client.send(DATA)


def connected6(at, port):
    client = datagram(socket.AF_INET6)
    client.connect((at["gateway6"], port))
    client.send(DATA)


def connected_mapped(at, port):
    client = datagram(socket.AF_INET6)
    client.connect(("::ffff:" + at["gateway"], port))
    client.send(DATA)


def connected_to_itself_then_sent(at, port):
    """A connected socket may still name another destination."""
    client = datagram()
    client.connect_ex((at["eth0"], 9))
    client.sendto(DATA, (at["gateway"], port))


def write(at, port):
    client = datagram()
    client.connect((at["gateway"], port))
    os.write(client.fileno(), DATA)


def message_with_source(at, port):
    """sendmsg with IP_PKTINFO: out by eth0, from a foreign address."""
    information = struct.pack("=i4s4s", socket.if_nametoindex("eth0"), socket.inet_aton(at["eth0"]), bytes(4))
    datagram().sendmsg([DATA], [(0, IP_PKTINFO, information)], 0, (at["gateway"], port))


def message_with_source6(at, port):
    information = bytes(16) + struct.pack("=I", socket.if_nametoindex("eth0"))
    datagram(socket.AF_INET6).sendmsg([DATA], [(41, IPV6_PKTINFO, information)], 0, (at["gateway6"], port))


def message_with_route(at, port):
    """sendmsg with IP_RETOPTS: a source route for one datagram."""
    hops = bytes([131, 7, 4]) + socket.inet_aton(at["gateway"]) + bytes(1)
    datagram().sendmsg([DATA], [(0, 7, hops)], 0, (at["db"], port))


def many_messages(at, port):
    """sendmmsg."""
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(at["gateway"]) + bytes(8)
    name, data = ctypes.create_string_buffer(address, 16), ctypes.create_string_buffer(DATA)
    vector = struct.pack("=QQ", ctypes.addressof(data), len(DATA))
    vectors = ctypes.create_string_buffer(vector, 16)
    header = struct.pack("=QIIQQQQII", ctypes.addressof(name), 16, 0, ctypes.addressof(vectors), 1, 0, 0, 0, 0)
    headers = ctypes.create_string_buffer((header + struct.pack("=II", 0, 0)) * 3)
    client = datagram()
    check(libc.sendmmsg(client.fileno(), headers, 3, 0))


def corked(at, port):
    client = datagram()
    client.sendto(DATA, socket.MSG_MORE, (at["gateway"], port))
    client.sendto(DATA, (at["gateway"], port))


def corked_by_option(at, port):
    client = datagram()
    client.setsockopt(17, UDP_CORK, 1)
    client.sendto(DATA, (at["gateway"], port))
    client.setsockopt(17, UDP_CORK, 0)


def corked_elsewhere(at, port):
    """Corked towards one address and released towards another."""
    client = datagram()
    try:
        client.sendto(DATA, socket.MSG_MORE, ("127.0.0.1", port))
    except OSError:
        pass
    client.sendto(DATA, (at["gateway"], port))


def sent_file(at, port):
    client = datagram()
    client.connect((at["gateway"], port))
    with open("/etc/hostname", "rb") as file:
        os.sendfile(client.fileno(), file.fileno(), 0, 5)


def spliced(at, port):
    client = datagram()
    client.connect((at["gateway"], port))
    reader, writer = os.pipe()
    os.write(writer, DATA)
    os.splice(reader, client.fileno(), len(DATA))


def segmented(at, port):
    """UDP_SEGMENT: several datagrams of one call."""
    client = datagram()
    client.setsockopt(17, UDP_SEGMENT, 4)
    client.sendto(DATA, (at["gateway"], port))


def without_copy(at, port):
    client = datagram()
    client.setsockopt(1, SO_ZEROCOPY, 1)
    client.sendto(DATA, MSG_ZEROCOPY, (at["gateway"], port))


def to_route(at, port):
    """MSG_DONTROUTE."""
    datagram().sendto(DATA, socket.MSG_DONTROUTE, (at["gateway"], port))


def unspecified_family(at, port):
    """AF_UNSPEC instead of AF_INET, which the kernel takes for it."""
    address = struct.pack("=H", socket.AF_UNSPEC) + struct.pack("!H", port) + socket.inet_aton(at["gateway"]) + bytes(8)
    client = datagram()
    check(libc.sendto(client.fileno(), DATA, len(DATA), 0, address, len(address)))


def v4_address_on_v6_socket(at, port):
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(at["gateway"]) + bytes(8)
    client = datagram(socket.AF_INET6)
    check(libc.sendto(client.fileno(), DATA, len(DATA), 0, address, len(address)))


def ring_message(at, port):
    """sendmsg by io_uring."""
    address = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(at["gateway"]) + bytes(8), 16)
    data = ctypes.create_string_buffer(DATA)
    vectors = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(data), len(DATA)), 16)
    header = ctypes.create_string_buffer(struct.pack("=QIIQQQQII", ctypes.addressof(address), 16, 0, ctypes.addressof(vectors), 1, 0, 0, 0, 0))
    client = datagram()
    uring.submit(9, client.fileno(), ctypes.addressof(header), 0, 1)


def device(at, port):
    client = datagram()
    client.setsockopt(1, socket.SO_BINDTODEVICE, b"eth0")
    client.sendto(DATA, (at["gateway"], port))


def unicast_interface(at, port):
    client = datagram()
    client.setsockopt(0, IP_UNICAST_IF, struct.pack("!I", socket.if_nametoindex("eth0")))
    client.sendto(DATA, (at["gateway"], port))


def bound(at, port):
    client = datagram()
    client.bind((at["eth0"], 53))
    client.sendto(DATA, (at["gateway"], port))


def broadcast(at, port):
    client = datagram()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    client.bind((at["eth0"], 0))
    client.sendto(DATA, (at["broadcast"], port))


def limited_broadcast(at, port):
    client = datagram()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    client.sendto(DATA, ("255.255.255.255", port))


def multicast(at, port):
    client = datagram()
    client.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(at["eth0"]))
    client.sendto(DATA, ("239.1.2.3", port))


def multicast6(at, port):
    client = datagram(socket.AF_INET6)
    client.sendto(DATA, ("ff15::1234", port, 0, socket.if_nametoindex("eth0")))


def lite(at, port):
    datagram(protocol=UDPLITE).sendto(DATA, (at["gateway"], port))


def lite6(at, port):
    datagram(socket.AF_INET6, UDPLITE).sendto(DATA, (at["gateway6"], port))


def group4(port):
    """A group that tells the port of the row, as those who watch know."""
    return bytes([239, 9]) + struct.pack("!H", port)


def group(at, port):
    """Joining a group has the kernel report it: an IGMP packet that no socket sends."""
    membership = struct.pack("=4s4si", group4(port), bytes(4), socket.if_nametoindex("eth0"))
    client = datagram()
    client.setsockopt(0, socket.IP_ADD_MEMBERSHIP, membership)
    time.sleep(0.1)


def group_by_family(at, port):
    """MCAST_JOIN_GROUP, the same for every family."""
    address = struct.pack("=HH4s", socket.AF_INET, 0, group4(port)).ljust(128, b"\0")
    client = datagram()
    client.setsockopt(0, 42, struct.pack("=I4x", socket.if_nametoindex("eth0")) + address)
    time.sleep(0.1)


def group6(at, port):
    membership = socket.inet_pton(socket.AF_INET6, f"ff15::7777:{port:x}") + struct.pack("=I", socket.if_nametoindex("eth0"))
    client = datagram(socket.AF_INET6)
    client.setsockopt(41, socket.IPV6_JOIN_GROUP, membership)
    time.sleep(0.1)


# Within the deployment.


def to_instance(at, port):
    datagram().sendto(DATA, (at["db"], port))


def to_instance_connected(at, port):
    client = datagram()
    client.connect((at["db"], port))
    client.send(DATA)


def to_instance_from_ist0(at, port):
    client = datagram()
    client.bind((at["own"], 0))
    client.sendto(DATA, (at["db"], port))


def to_instance_lite(at, port):
    datagram(protocol=UDPLITE).sendto(DATA, (at["db"], port))


def to_relay(at, port):
    datagram().sendto(DATA, (at["fabric"], 15001))


def to_itself(at, port):
    """Not even on loopback: who relied on it would find it gone elsewhere."""
    server = datagram()
    server.bind(("127.0.0.1", port))
    server.settimeout(0.1)
    datagram().sendto(DATA, ("127.0.0.1", port))
    if server.recv(100) == DATA:
        return "breach: received"
