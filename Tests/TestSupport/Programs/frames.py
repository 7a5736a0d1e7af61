"""Frames without the sockets that the walls look at. `capture LINK` counts, by protocol, the IP frames
that arrive; it ends and prints at the end of standard input. `send LINK OWN DESTINATION GATEWAY_MAC`
sends one of each kind that must not pass, as a program with packet sockets would."""

import json, os, select, socket, struct, sys

ALL, IPV4, IPV6, ARP, VLAN = 0x0003, 0x0800, 0x86DD, 0x0806, 0x8100


def packet_socket(link, protocol):
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    packets.bind((link, protocol))
    return packets


def capture(link):
    packets, counts = packet_socket(link, ALL), {}
    print("capturing", flush=True)
    while True:
        ready, _, _ = select.select([packets, sys.stdin], [], [])
        if packets in ready:
            data, address = packets.recvfrom(65536)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            kind = struct.unpack("!H", data[12:14])[0]
            name = {6: "tcp", 17: "udp", 1: "icmp"}.get(data[23], "ip") if kind == IPV4 else hex(kind)
            counts[name] = counts.get(name, 0) + 1
        elif sys.stdin in ready:
            sys.stdin.readline()
            print(json.dumps(counts, sort_keys=True), flush=True)


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source, destination, protocol, payload, fragment=0):
    def header(check):
        return struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, check,
            socket.inet_aton(source), socket.inet_aton(destination))

    return header(checksum(header(0))) + payload


def tcp(source, destination, port, flags=2):
    def segment(check):
        return struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 0x50, flags, 65535, check, 0)

    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, 6, 20)
    return segment(checksum(pseudo + segment(0)))


def send(link, own, destination, gateway):
    packets = packet_socket(link, ALL)
    ethernet = bytes.fromhex(gateway.replace(":", "")) + packets.getsockname()[4]
    syn = tcp(own, destination, 3211)
    spoofed = "198.18.1.77"
    frames = {
        "udp": (IPV4, ipv4(own, destination, 17, struct.pack("!HHHH", 40000, 3211, 8, 0) + bytes(20))),
        "icmp": (IPV4, ipv4(own, destination, 1, struct.pack("!BBHHH", 8, 0, 0xF7FE, 1, 0) + bytes(20))),
        "spoofed": (IPV4, ipv4(spoofed, destination, 6, tcp(spoofed, destination, 3211))),
        "foreign": (IPV4, ipv4(own, "192.0.2.9", 6, tcp(own, "192.0.2.9", 80))),
        "reserved": (IPV4, ipv4(own, "198.18.0.1", 6, tcp(own, "198.18.0.1", 80))),
        "fragment": (IPV4, ipv4(own, destination, 6, syn, fragment=0x2000)),
        "short": (IPV4, ipv4(own, destination, 6, b"")),
        "arp": (ARP, struct.pack("!HHBBH", 1, IPV4, 6, 4, 1) + bytes(20)),
        "ipv6": (IPV6, struct.pack("!IHBB", 6 << 28, 20, 6, 64) + bytes(32) + syn),
        "vlan": (VLAN, struct.pack("!HH", 5, IPV4) + ipv4(own, destination, 6, syn)),
    }
    for kind, payload in frames.values():
        packets.send(ethernet + struct.pack("!H", kind) + payload)
    # And one that must pass, so that the receiver is known to see what passes.
    packets.send(ethernet + struct.pack("!H", IPV4) + ipv4(own, destination, 6, syn))
    print("sent", flush=True)


def gateway(link, own, gateway):
    """What would be needed to connect to the gateway: it listens on 15001."""
    packets, to = packet_socket(link, ALL), "198.18.0.1"
    ethernet = bytes.fromhex(gateway.replace(":", "")) + packets.getsockname()[4]
    syn, ack = 2, 16
    for port, flags in [(15001, syn), (15001, ack), (15001, syn | ack), (40002, ack)]:
        frame = ipv4(own, to, 6, tcp(own, to, port, flags))
        packets.send(ethernet + struct.pack("!H", IPV4) + frame)
    print("sent", flush=True)


def acknowledgement(link, own, destination, gateway):
    """A segment of a connection from port 40000 to 3211 that was never opened."""
    packets = packet_socket(link, ALL)
    ethernet = bytes.fromhex(gateway.replace(":", "")) + packets.getsockname()[4]
    frame = ipv4(own, destination, 6, tcp(own, destination, 3211, flags=16))
    packets.send(ethernet + struct.pack("!H", IPV4) + frame)
    print("sent", flush=True)


{"capture": capture, "send": send, "gateway": gateway, "acknowledgement": acknowledgement}[sys.argv[1]](*sys.argv[2:])
