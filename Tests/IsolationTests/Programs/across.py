"""Across runners. `runner1` and `runner2` are the runners' own addresses, to which the bridge's gateway
leads; `far_db` is an instance of the victim's service on runner 2."""

import socket, struct, subprocess

import forged, tcp, udp


def control(at, port):
    """The positive control: this is allowed."""
    client = tcp.stream()
    client.settimeout(60)
    client.connect((at["far_db"], 3211))
    client.recv(1)


# The runners' own ports, over the container's eth0.


def tunnel(at, port):
    tcp.connect(at, 7443, "runner2")


def tunnel_mapped(at, port):
    tcp.connect(at, 7443, "::ffff:" + at["runner2"], socket.AF_INET6)


def tunnel_fast_open(at, port):
    tcp.stream().sendto(b"let me out", socket.MSG_FASTOPEN, (at["runner2"], 7443))


def tunnel_by_eth0(at, port):
    tcp.connect(at, 7443, "runner2", prepare=lambda c: c.setsockopt(1, socket.SO_BINDTODEVICE, b"eth0"))


def tunnel_from_own(at, port):
    tcp.connect(at, 7443, "runner2", prepare=lambda c: c.bind((at["own"], 0)))


def own_tunnel(at, port):
    tcp.connect(at, 7443, "runner1")


def registry(at, port):
    tcp.connect(at, 2379, "etcd")


def datagram_to_runner(at, port):
    udp.datagram().sendto(udp.DATA, (at["runner2"], port))


def raw_to_runner(at, port):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 6)
    raw.sendto(forged.tcp(at["eth0"], at["runner2"], 7443), (at["runner2"], 0))


# An instance of the other runner, by ist0.


def datagram(at, port):
    udp.datagram().sendto(udp.DATA, (at["far_db"], port))


def raw_datagram(at, port):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 17)
    raw.sendto(forged.udp(port), (at["far_db"], 0))


def ip(at, source, destination, protocol, payload):
    forged.ip(at, forged.ipv4(source, destination, protocol, payload))


def forged_syn(at, source, destination, flags=2):
    ip(at, source, destination, 6, forged.tcp(source, destination, 3211, flags=flags))


def spoofed_service(at, port):
    forged_syn(at, "198.18.3.2", at["far_db"])


def spoofed_sibling(at, port):
    forged_syn(at, "198.18.1.99", at["far_db"])


def spoofed_far(at, port):
    """In the name of the instance that is over there, to the one that is here."""
    forged_syn(at, at["far_db"], at["db"])


def reset_by_far(at, port):
    forged_syn(at, at["far_db"], at["db"], flags=4)


def reset_of_far(at, port):
    """To end the connection of another instance of this runner with the other one."""
    forged_syn(at, "198.18.1.99", at["far_db"], flags=4)


def forged_datagram(at, port):
    ip(at, at["own"], at["far_db"], 17, forged.udp(port))


def forged_echo(at, port):
    ip(at, at["own"], at["far_db"], 1, struct.pack("!BBHHH", 8, 0, 0xF7FD, 1, 1))


def tunnelled(at, port):
    """IP in IP, which a relay that looked no further would carry."""
    inner = forged.ipv4("198.18.3.2", at["far_db"], 6, forged.tcp("198.18.3.2", at["far_db"], 3211))
    ip(at, at["own"], at["far_db"], 4, inner)


def data_without_syn(at, port):
    ip(at, at["own"], at["far_db"], 6, forged.tcp(at["own"], at["far_db"], 3211, flags=0x18, data=forged.DATA))


# From outside.


def to_far_instance(at, port):
    client = tcp.stream()
    client.connect((at["far_db"], 3211))
    client.send(b"let me in")


def route_by_the_runner(at):
    """The runner as a router to the instances that it has; for the rest of the table, which goes on at
    once for every container."""
    subprocess.run(["ip", "route", "replace", at["far_db"] + "/32", "via", at["runner2"]], check=True)


def by_the_runner(at, port):
    route_by_the_runner(at)
    to_far_instance(at, port)


def datagram_by_the_runner(at, port):
    route_by_the_runner(at)
    datagram(at, port)
