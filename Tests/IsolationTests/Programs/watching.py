"""What the receiving side saw: frames that arrived on a link, and what listening sockets got."""

import ctypes, json, os, select, socket, struct, threading

ALL, IPV4, IPV6, ARP = 0x0003, 0x0800, 0x86DD, 0x0806
# Of IPv6, what the kernel sends by itself: router and neighbour discovery, and groups that it joins for
# that. The groups of attempts end with the port of their row.
DISCOVERY = range(133, 137)
GROUP4, GROUP6 = bytes([239, 9]), bytes.fromhex("ff1500000000000000000000") + bytes.fromhex("7777")
# An answer of a listening container, to whatever address it was asked from: of no row that sends.
LISTENING, ANSWER = 8080, 20999
FABRIC = bytes.fromhex("026973740001")  # the fabric's own stack, which may answer

frames, received, servers = [], [], {}
lock = threading.Lock()


def report(name, rest, group):
    """Of reports of groups only those of attempts."""
    place = rest.find(group)
    return (name, struct.unpack("!H", rest[place + len(group):][:2])[0]) if place >= 0 else None


def describe(frame):
    """(what it is, destination port or 0), or None for what a kernel says by itself."""
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == IPV4 and len(frame) >= 34:
        protocol, ends, rest = frame[23], (frame[26:30], frame[30:34]), frame[14 + 4 * (frame[14] & 15):]
        family = socket.AF_INET
        if protocol == 2 and len(frame) < 100 and frame[12:14] == b"\x08\0" and frame[30] == 224:
            return report("igmp", rest, GROUP4)
    elif kind == IPV6 and len(frame) >= 54:
        protocol, ends, rest = frame[20], (frame[22:38], frame[38:54]), frame[54:]
        family = socket.AF_INET6
        if protocol == 0:  # hop-by-hop options: MLD
            return report("mld", rest, GROUP6)
        if protocol == 58 and rest[0] in DISCOVERY:
            return None
    else:
        return f"ethertype {kind:#06x}", 0
    source, destination = (socket.inet_ntop(family, end) for end in ends)
    port = struct.unpack("!H", rest[2:4])[0] if protocol in (6, 17, 136) and len(rest) >= 4 else 0
    if protocol == 6 and rest[:2] == struct.pack("!H", LISTENING):
        port = ANSWER
    name = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 58: "icmp6", 136: "udplite"}.get(protocol, f"protocol {protocol}")
    return f"{name} {source} > {destination}", port


def is_instance_tcp(frame, own):
    """What the fabric is there for: whole IPv4 TCP from the instance whose link it comes from."""
    return (
        len(frame) >= 54 and frame[12:15] == b"\x08\x00\x45" and frame[23] == 6
        and frame[20] & 0x3F == 0 and frame[21] == 0
        and frame[26:30] == frame[8:12] and frame[30:34] == own)


def capture(prefix, own=None):
    """Keeps what arrives on links whose names begin with `prefix`; with `own`, but for that which may
    arrive at the instance that has this address."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    packets.setsockopt(263, 8, 1)  # PACKET_AUXDATA: the kernel takes VLAN tags out of the frame
    own = own and socket.inet_aton(own)

    def keep():
        while True:
            frame, more, _, address = packets.recvmsg(65536, 256)
            if address[2] == socket.PACKET_OUTGOING or not address[0].startswith(prefix):
                continue
            tagged = any(struct.unpack("=I", data[:4])[0] & 16 for _, _, data in more)
            if own and (frame[6:12] == FABRIC or not tagged and is_instance_tcp(frame, own)):
                continue
            kind = struct.unpack("!H", frame[12:14])[0]
            if kind == ARP and not own:
                continue
            what = ("vlan", 0) if tagged else describe(frame)
            # In a fabric the sender's hardware address tells who it is; elsewhere the link does.
            who = socket.inet_ntoa(frame[8:12]) if own else address[0]
            if what:
                with lock:
                    frames.append((who, *what))

    threading.Thread(target=keep, daemon=True).start()
    return "capturing"


def packets_on(link):
    """Every frame that arrives on a link."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
    packets.bind((link, 0))
    while True:
        frame, address = packets.recvfrom(65536)
        if address[2] != socket.PACKET_OUTGOING:
            yield frame


def capture_relayed(link, own):
    """Keeps what arrives at an instance from other runners but whole TCP of an instance of shop/app,
    which the relay there passes on in that one's name."""
    own, callers = socket.inet_aton(own), socket.inet_aton("198.18.1.0")[:3]

    def keep():
        for frame in packets_on(link):
            as_from = frame[:6] + bytes(2) + frame[26:30] + frame[12:]
            if is_instance_tcp(as_from, own) and frame[26:29] == callers:
                continue
            what = describe(frame)
            who = socket.inet_ntoa(frame[26:30]) if len(frame) >= 30 else "0.0.0.0"
            if what:
                with lock:
                    frames.append((who, *what))

    threading.Thread(target=keep, daemon=True).start()
    return "capturing"


def capture_from(link, network):
    """Keeps what arrives on a runner's link from addresses that begin with `network`."""

    def keep():
        for frame in packets_on(link):
            if frame[12:14] == b"\x08\0" and socket.inet_ntoa(frame[26:30]).startswith(network):
                what, port = describe(frame) or ("a report", 0)
                with lock:
                    frames.append((socket.inet_ntoa(frame[26:30]), "at the runner: " + what, port))

    threading.Thread(target=keep, daemon=True).start()
    return "capturing"


def seen():
    """[who, what, destination port] of each frame since the last call."""
    with lock:
        taken = frames[:]
        frames.clear()
    return json.dumps(taken)


def note(what, port):
    with lock:
        received.append((what, port))


def serve(server, port):
    while True:
        try:
            client, address = server.accept()
        except OSError:
            return
        note(f"tcp from {address[0]}", port)
        client.close()


def gather(endpoint, port):
    while True:
        try:
            data, address = endpoint.recvfrom(2048)
        except OSError:
            return
        note(f"udp from {address[0]}", port)


def listen(port):
    """TCP and UDP on every address, and as a member of the groups that neighbours send to."""
    server = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    servers[port] = server
    threading.Thread(target=serve, args=[server, port], daemon=True).start()
    for family in (socket.AF_INET, socket.AF_INET6):
        endpoint = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        endpoint.bind(("", port))
        try:
            if family == socket.AF_INET:
                group = socket.inet_aton("239.7.7.7") + bytes(4) + struct.pack("=i", socket.if_nametoindex("eth0"))
                endpoint.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        except OSError:
            pass  # no eth0, or not allowed: an attempt of its own
        threading.Thread(target=gather, args=[endpoint, port], daemon=True).start()
    return "listening"


def unlisten(port):
    """No more on TCP; shutdown() wakes the thread."""
    servers[port].shutdown(socket.SHUT_RDWR)
    servers.pop(port).close()
    return "closed"


def resolve_in(process):
    """Answers over TCP on 127.0.0.11:53 in the network namespace of a process, without being in its cgroup."""
    made, made_here = threading.Event(), []

    def enter():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{process}/ns/net") as namespace:
            if libc.setns(namespace.fileno(), 0x40000000) == 0:  # CLONE_NEWNET: this thread alone
                made_here.append(socket.create_server(("127.0.0.11", 53)))
        made.set()

    def answer(server):
        while True:
            client, _ = server.accept()
            client.sendall(b"the resolver answered")
            client.close()

    threading.Thread(target=enter, daemon=True).start()
    made.wait()
    threading.Thread(target=answer, args=made_here, daemon=True).start()
    return "resolving" if made_here else "no resolver"


def got():
    """[what, port] of all that listening sockets got since the last call."""
    with lock:
        taken = received[:]
        received.clear()
    return json.dumps(taken)


commands = {"capture": capture, "capture_relayed": capture_relayed, "capture_from": capture_from}
commands |= {"resolve_in": resolve_in, "seen": seen, "listen": listen, "unlisten": unlisten, "got": got}
