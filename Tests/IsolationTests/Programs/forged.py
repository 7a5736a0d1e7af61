"""Frames that a program makes itself and sends on ist0, as it could with a packet socket: of every kind
that the switch must not let through."""

import socket, struct

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
DATA = b"let me in"


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload, fragment=0, version=4, options=b"", length=None, ttl=64, right=True):
    words = 5 + len(options) // 4

    def header(check):
        return struct.pack(
            "!BBHHHBBH4s4s", version << 4 | words, 0, length or 4 * words + len(payload), 7, fragment, ttl,
            protocol, check, socket.inet_aton(source), socket.inet_aton(destination)) + options

    return header(checksum(header(0)) if right else 0xDEAD) + payload


def tcp(source, destination, port, flags=2, data=b"", offset=5):
    def segment(check):
        return struct.pack("!HHIIBBHHH", 40000, port, 1, 1, offset << 4, flags, 65535, check, 0) + data

    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, 6, 20 + len(data))
    return segment(checksum(pseudo + segment(0)))


def udp(port):
    return struct.pack("!HHHH", 40000, port, 8 + len(DATA), 0) + DATA


def send(at, kind, payload, destination=None):
    """As a frame of the instance to the fabric's end of its link."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.bind(("ist0", 0))
    own = packets.getsockname()[4]
    packets.send((destination or bytes.fromhex("026973740001")) + own + struct.pack("!H", kind) + payload)


def ip(at, payload):
    send(at, IPV4, payload)


def syn(at, port):
    return tcp(at["own"], at["db"], port)


def own_tcp(at, port):
    """The positive control: this is what a TCP socket would send."""
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211)))


def spoofed_service(at, port):
    """As an instance of another service, one that the victim may trust."""
    ip(at, ipv4("198.18.3.2", at["db"], 6, tcp("198.18.3.2", at["db"], 3211)))


def spoofed_sibling(at, port):
    ip(at, ipv4("198.18.1.99", at["db"], 6, tcp("198.18.1.99", at["db"], 3211)))


def spoofed_victim(at, port):
    """The victim's own address as the source (LAND)."""
    ip(at, ipv4(at["db"], at["db"], 6, tcp(at["db"], at["db"], 3211)))


def spoofed_door(at, port):
    """As the front door, whose source is the fabric's own address."""
    ip(at, ipv4(at["fabric"], at["db"], 6, tcp(at["fabric"], at["db"], 3211)))


def spoofed_loopback(at, port):
    ip(at, ipv4("127.0.0.1", at["db"], 6, tcp("127.0.0.1", at["db"], 3211)))


def spoofed_foreign(at, port):
    ip(at, ipv4(at["foreign"], at["db"], 6, tcp(at["foreign"], at["db"], 3211)))


def spoofed_nobody(at, port):
    ip(at, ipv4("0.0.0.0", at["db"], 6, tcp("0.0.0.0", at["db"], 3211)))


def spoofed_broadcast(at, port):
    ip(at, ipv4("255.255.255.255", at["db"], 6, tcp("255.255.255.255", at["db"], 3211)))


def spoofed_reset(at, port):
    """To end somebody else's connection."""
    ip(at, ipv4("198.18.3.2", at["db"], 6, tcp("198.18.3.2", at["db"], 3211, flags=4)))


def datagram(at, port):
    ip(at, ipv4(at["own"], at["db"], 17, udp(port)))


def datagram_of_nothing(at, port):
    ip(at, ipv4(at["own"], at["db"], 17, b""))


def echo(at, port):
    ip(at, ipv4(at["own"], at["db"], 1, struct.pack("!BBHHH", 8, 0, 0xF7FD, 1, 1)))


def redirect(at, port):
    """An ICMP redirect, to be the victim's gateway."""
    inner = ipv4(at["db"], at["own"], 6, bytes(8))
    body = struct.pack("!BBH4s", 5, 1, 0, socket.inet_aton(at["own"])) + inner
    ip(at, ipv4(at["own"], at["db"], 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]))


def unreachable(at, port):
    inner = ipv4(at["db"], "198.18.3.2", 6, bytes(8))
    body = struct.pack("!BBHI", 3, 1, 0, 0) + inner
    ip(at, ipv4(at["own"], at["db"], 1, body[:2] + struct.pack("!H", checksum(body)) + body[4:]))


def group_report(at, port):
    ip(at, ipv4(at["own"], at["db"], 2, struct.pack("!BBH4s", 0x16, 0, 0, socket.inet_aton("239.1.1.1"))))


def sctp(at, port):
    ip(at, ipv4(at["own"], at["db"], 132, bytes(20)))


def dccp(at, port):
    ip(at, ipv4(at["own"], at["db"], 33, bytes(24)))


def gre(at, port):
    ip(at, ipv4(at["own"], at["db"], 47, struct.pack("!HH", 0, IPV4) + ipv4(at["own"], at["db"], 6, syn(at, 3211))))


def ip_in_ip(at, port):
    ip(at, ipv4(at["own"], at["db"], 4, ipv4("198.18.3.2", at["db"], 6, tcp("198.18.3.2", at["db"], 3211))))


def ipv6_in_ip(at, port):
    ip(at, ipv4(at["own"], at["db"], 41, struct.pack("!IHBB", 6 << 28, 20, 6, 64) + bytes(32) + syn(at, 3211)))


def reserved_protocol(at, port):
    ip(at, ipv4(at["own"], at["db"], 255, syn(at, 3211)))


def first_fragment(at, port):
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211), fragment=0x2000))


def later_fragment(at, port):
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211), fragment=3))


def tiny_fragment(at, port):
    """Ports in the first, flags in the second (RFC 1858)."""
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211)[:8], fragment=0x2000))


def reserved_flag(at, port):
    """The flag of RFC 3514, and the offset zero."""
    ip(at, ipv4(at["own"], at["db"], 17, udp(port), fragment=0x8000))


def options(at, port):
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211), options=bytes([131, 7, 4]) + socket.inet_aton("198.18.3.2") + bytes(1)))


def timestamp_option(at, port):
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211), options=bytes([68, 8, 5, 0]) + bytes(4)))


def short_header(at, port):
    """IHL 4: shorter than any header."""
    packet = bytearray(ipv4(at["own"], at["db"], 6, syn(at, 3211)))
    packet[0] = 0x44
    ip(at, bytes(packet))


def truncated_ip(at, port):
    ip(at, ipv4(at["own"], at["db"], 6, b"")[:12])


def truncated_tcp(at, port):
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211)[:10]))


def no_payload(at, port):
    send(at, IPV4, b"")


def version_6_as_4(at, port):
    ip(at, ipv4(at["own"], at["db"], 6, syn(at, 3211), version=6))


def to_block_0(at, port):
    ip(at, ipv4(at["own"], at["fabric"], 6, tcp(at["own"], at["fabric"], 15001)))


def to_block_0_data(at, port):
    """To the relay, without a SYN."""
    ip(at, ipv4(at["own"], at["fabric"], 6, tcp(at["own"], at["fabric"], 15001, flags=0x18, data=DATA)))


def to_foreign(at, port):
    ip(at, ipv4(at["own"], at["foreign"], 6, tcp(at["own"], at["foreign"], 80)))


def to_loopback(at, port):
    """The fabric's own loopback."""
    ip(at, ipv4(at["own"], "127.0.0.1", 6, tcp(at["own"], "127.0.0.1", 15001)))


def to_itself(at, port):
    ip(at, ipv4(at["own"], at["own"], 6, tcp(at["own"], at["own"], 3211)))


def to_everyone(at, port):
    ip(at, ipv4(at["own"], "255.255.255.255", 6, tcp(at["own"], "255.255.255.255", 3211)))


def to_group(at, port):
    ip(at, ipv4(at["own"], "224.0.0.1", 6, tcp(at["own"], "224.0.0.1", 3211)))


def ipv6(at, port):
    send(at, IPV6, struct.pack("!IHBB", 6 << 28, 20, 6, 64) + bytes(15) + b"\1" + bytes(15) + b"\2" + syn(at, 3211))


def ipv6_mapped(at, port):
    ends = b"".join(bytes(10) + b"\xff\xff" + socket.inet_aton(at[end]) for end in ("own", "db"))
    send(at, IPV6, struct.pack("!IHBB", 6 << 28, 20, 6, 64) + ends + syn(at, 3211))


def arp_request(at, port):
    ends = bytes.fromhex("020000000001") + socket.inet_aton(at["own"]) + bytes(6) + socket.inet_aton(at["db"])
    send(at, ARP, struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + ends, bytes([255] * 6))


def arp_reply(at, port):
    """As the gateway, unasked."""
    ends = bytes.fromhex("020000000001") + socket.inet_aton(at["link_gateway"]) + bytes(6) + socket.inet_aton(at["db"])
    send(at, ARP, struct.pack("!HHBBH", 1, IPV4, 6, 4, 2) + ends)


def vlan(at, port):
    send(at, 0x8100, struct.pack("!HH", 5, IPV4) + ipv4(at["own"], at["db"], 6, syn(at, 3211)))


def vlan_of_nothing(at, port):
    """VLAN 0: a priority tag."""
    send(at, 0x8100, struct.pack("!HH", 0, IPV4) + ipv4(at["own"], at["db"], 6, syn(at, 3211)))


def double_vlan(at, port):
    send(at, 0x88A8, struct.pack("!HHHH", 5, 0x8100, 6, IPV4) + ipv4(at["own"], at["db"], 6, syn(at, 3211)))


def mpls(at, port):
    send(at, 0x8847, struct.pack("!I", 0x1140) + ipv4(at["own"], at["db"], 6, syn(at, 3211)))


def pppoe(at, port):
    send(at, 0x8864, struct.pack("!BBHHH", 0x11, 0, 1, 42, 0x21) + ipv4(at["own"], at["db"], 6, syn(at, 3211)))


def llc(at, port):
    """IEEE 802.3, where the type is a length."""
    send(at, 60, b"\xaa\xaa\x03\0\0\0\x08\0" + ipv4(at["own"], at["db"], 6, syn(at, 3211)))


def own_type(at, port):
    send(at, 0x88B5, DATA.ljust(50))


def jumbo(at, port):
    """IP says more than the frame has."""
    ip(at, ipv4("198.18.3.2", at["db"], 6, syn(at, 3211), length=65535))


def to_other_hardware(at, port):
    """To the victim's hardware address, from a foreign one."""
    send(at, IPV4, ipv4("198.18.3.2", at["db"], 6, tcp("198.18.3.2", at["db"], 3211)), b"\x02\x69" + socket.inet_aton(at["db"]))


def noise(at, port):
    """300 frames of random bytes behind a header that looks right, from any source but the own one."""
    import random

    for seed in range(300):
        some = random.Random(seed)
        body = bytearray(ipv4("198.18.3.2", at["db"], 6, some.randbytes(some.randrange(0, 60))))
        for _ in range(some.randrange(0, 4)):
            body[some.randrange(0, 12)] = some.randrange(256)
        try:
            send(at, some.choice([IPV4, IPV4, IPV6, ARP, 0x8100, some.randrange(1500, 65536)]), bytes(body))
        except OSError as error:
            if error.errno != 22:
                raise
