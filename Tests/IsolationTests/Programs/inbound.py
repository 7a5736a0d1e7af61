"""From outside into the container: `at["target"]` is its address on the bridge. What arrives there is
seen by those who listen inside."""

import socket, struct, time

from udp import datagram

DATA = b"let me in"
PORT = 8080


def connect(address, family=socket.AF_INET, protocol=0, prepare=None):
    client = socket.socket(family, socket.SOCK_STREAM, protocol)
    client.settimeout(0.1)
    if prepare:
        prepare(client)
    client.connect(address)
    client.send(DATA)


def tcp(at, port):
    connect((at["target"], PORT))


def tcp6(at, port):
    connect((at["target6"], PORT), socket.AF_INET6)


def multipath(at, port):
    connect((at["target"], PORT), protocol=262)


def fast_open(at, port):
    client = socket.socket()
    client.settimeout(0.1)
    client.sendto(DATA, socket.MSG_FASTOPEN, (at["target"], PORT))


def from_privileged(at, port):
    def prepare(client):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("0.0.0.0", 53))
    connect((at["target"], PORT), prepare=prepare)


def to_instance_address(at, port):
    """The instance address, by way of the bridge."""
    route(at["own"], at["target"], lambda: connect((at["own"], PORT)))


def as_a_peer(at, port):
    """From an address of the range: as if it came from another instance."""
    connect((at["target"], PORT), prepare=lambda c: (c.setsockopt(0, 19, 1), c.bind(("198.18.2.2", 0))))


def to_loopback(at, port):
    """127.0.0.1 of the container, over the bridge."""
    raw_syn(at["target"], "127.0.0.1", at)


def route(destination, gateway, attempt):
    import subprocess

    words = [destination + "/32", "via", gateway]
    subprocess.run(["ip", "route", "replace", *words], check=True)
    try:
        attempt()
    finally:
        subprocess.run(["ip", "route", "del", *words], check=True)


def raw_syn(hop, destination, at):
    """A SYN to `destination` in a frame for the container: the kernel would not route it."""
    import forged

    datagram().sendto(b"who has it?", (hop, 9))
    time.sleep(0.05)
    for line in open("/proc/net/arp"):
        words = line.split()
        if words[0] == hop and words[3] != "00:00:00:00:00:00":
            packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            packets.bind((words[5], 0))
            frame = forged.ipv4(at["outside"], destination, 6, forged.tcp(at["outside"], destination, PORT))
            packets.send(bytes.fromhex(words[3].replace(":", "")) + packets.getsockname()[4] + b"\x08\0" + frame)
            time.sleep(0.05)
            return
    raise OSError(113, "no neighbour")


def published(at, port):
    """A port that an engine publishes: its proxy connects to the container from the host."""
    import threading

    proxy = socket.create_server(("127.0.0.1", 0))

    def relay():
        client, _ = proxy.accept()
        try:
            connect((at["target"], PORT))
        except OSError:
            pass
        client.close()

    threading.Thread(target=relay, daemon=True).start()
    caller = socket.create_connection(proxy.getsockname(), timeout=2)
    caller.sendall(DATA)
    if caller.recv(10) == b"":
        raise OSError(104, "the proxy closed")


def range(at, port):
    """The instance address as it is."""
    connect((at["own"], PORT))


def service(at, port):
    connect((at["service"], PORT))


def udp(at, port):
    datagram().sendto(DATA, (at["target"], PORT))


def udp6(at, port):
    datagram(socket.AF_INET6).sendto(DATA, (at["target6"], PORT))


def udp_broadcast(at, port):
    client = datagram()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    client.sendto(DATA, (at["broadcast"], PORT))


def udp_limited_broadcast(at, port):
    client = datagram()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    client.bind((at["outside"], 0))
    client.setsockopt(1, socket.SO_BINDTODEVICE, at["outside_link"].encode())
    client.sendto(DATA, ("255.255.255.255", PORT))


def udp_multicast(at, port):
    client = datagram()
    client.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(at["outside"]))
    client.sendto(DATA, ("239.7.7.7", PORT))


def udp_all_systems(at, port):
    """224.0.0.1, in which everybody is."""
    client = datagram()
    client.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(at["outside"]))
    client.sendto(DATA, ("224.0.0.1", PORT))


def udp_all_systems6(at, port):
    datagram(socket.AF_INET6).sendto(DATA, ("ff02::1", PORT, 0, socket.if_nametoindex(at["outside_link"])))


def udp_fragments(at, port):
    """A datagram in three fragments."""
    datagram().sendto(DATA * 400, (at["target"], PORT))
