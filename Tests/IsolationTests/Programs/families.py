"""Sockets of other kinds: protocols that no hook of TCP and UDP sees, raw and packet sockets."""

import ctypes, os, socket, struct

PING, SCTP, DCCP, SMC = 1, 132, 33, 256
DATA = b"let me out"
# Those that Linux has, and some that nobody has: each that is unknown has the kernel look for a module.
PROTOCOLS = [0, 1, 2, 4, 6, 17, DCCP, 41, 47, 50, 51, 58, 89, 103, 108, 115, SCTP, 136, 253, 255, SMC, 262]
libc = ctypes.CDLL(None, use_errno=True)


def make(family, kind, protocol=0):
    return socket.socket(family, kind, protocol)


def ping(at, port):
    with open("/proc/sys/net/ipv4/ping_group_range", "w") as file:
        file.write("0 2147483647")
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + DATA
    make(socket.AF_INET, socket.SOCK_DGRAM, PING).sendto(echo, (at["gateway"], 0))


def ping6(at, port):
    with open("/proc/sys/net/ipv4/ping_group_range", "w") as file:
        file.write("0 2147483647")
    echo = struct.pack("!BBHHH", 128, 0, 0, 1, 1) + DATA
    make(socket.AF_INET6, socket.SOCK_DGRAM, 58).sendto(echo, (at["gateway6"], 0))


def ping_instance(at, port):
    with open("/proc/sys/net/ipv4/ping_group_range", "w") as file:
        file.write("0 2147483647")
    echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + DATA
    make(socket.AF_INET, socket.SOCK_DGRAM, PING).sendto(echo, (at["db"], 0))


def sctp(at, port):
    client = make(socket.AF_INET, socket.SOCK_STREAM, SCTP)
    client.settimeout(0.1)
    client.connect((at["gateway"], port))


def sctp_seqpacket(at, port):
    client = make(socket.AF_INET, socket.SOCK_SEQPACKET, SCTP)
    client.setblocking(False)  # a send that waits for the association is not to be interrupted
    client.sendto(DATA, (at["gateway"], port))


def dccp(at, port):
    client = make(socket.AF_INET, 6, DCCP)
    client.settimeout(0.1)
    client.connect((at["gateway"], port))


def smc_by_protocol(at, port):
    """SMC as a protocol of AF_INET (Linux >= 6.11)."""
    client = make(socket.AF_INET, socket.SOCK_STREAM, SMC)
    client.settimeout(0.1)
    client.connect((at["gateway"], port))


def raw(at, port):
    make(socket.AF_INET, socket.SOCK_RAW, 253).sendto(DATA, (at["gateway"], 0))


def raw_tcp(at, port):
    segment = struct.pack("!HHIIBBHHH", 4000, port, 1, 0, 0x50, 2, 65535, 0, 0)
    make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP).sendto(segment, (at["gateway"], 0))


def raw_udp(at, port):
    segment = struct.pack("!HHHH", 4000, port, 8 + len(DATA), 0) + DATA
    make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).sendto(segment, (at["gateway"], 0))


def raw_icmp(at, port):
    make(socket.AF_INET, socket.SOCK_RAW, PING).sendto(struct.pack("!BBHHH", 8, 0, 0xF7FD, 1, 1), (at["gateway"], 0))


def raw_header(at, port):
    """IP_HDRINCL: a header of one's own."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(DATA), 7, 0, 64, 253, 0, socket.inet_aton(at["foreign"]), socket.inet_aton(at["gateway"]))
    make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(header + DATA, (at["gateway"], 0))


def raw6(at, port):
    make(socket.AF_INET6, socket.SOCK_RAW, 253).sendto(DATA, (at["gateway6"], 0))


def raw6_icmp(at, port):
    """A neighbour advertisement would be taken for the kernel's own: an echo is not."""
    make(socket.AF_INET6, socket.SOCK_RAW, 58).sendto(struct.pack("!BBHHH", 128, 0, 0, 1, 1), (at["gateway6"], 0))


def raw_to_instance(at, port):
    make(socket.AF_INET, socket.SOCK_RAW, 253).sendto(DATA, (at["db"], 0))


def raw_udp_to_instance(at, port):
    segment = struct.pack("!HHHH", 4000, port, 8 + len(DATA), 0) + DATA
    make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP).sendto(segment, (at["db"], 0))


def raw_spoofed_to_instance(at, port):
    segment = struct.pack("!HHIIBBHHH", 4000, 3211, 1, 0, 0x50, 2, 65535, 0, 0)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, 7, 0, 64, 6, 0, socket.inet_aton(at["foreign"]), socket.inet_aton(at["db"]))
    make(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(header + segment, (at["db"], 0))


def frame(kind, data):
    return bytes([255] * 6) + bytes.fromhex("020000000001") + struct.pack("!H", kind) + data


def packet(at, port):
    client = make(socket.AF_PACKET, socket.SOCK_RAW)
    client.bind(("eth0", 0))
    client.send(frame(0x88B5, DATA.ljust(50)))


def packet_datagram(at, port):
    client = make(socket.AF_PACKET, socket.SOCK_DGRAM)
    client.sendto(DATA.ljust(50), ("eth0", 0x88B5, 0, 0, bytes([255] * 6)))


def packet_old(at, port):
    """SOCK_PACKET of AF_INET, from Linux 2.0."""
    client = make(socket.AF_INET, 10, 0x0300)
    libc_address = struct.pack("=H14s", socket.AF_INET, b"eth0")
    data = frame(0x88B5, DATA.ljust(50))
    if libc.sendto(client.fileno(), data, len(data), 0, libc_address, len(libc_address)) < 0:
        raise OSError(ctypes.get_errno(), "")


def packet_listens(at, port):
    """Reading what the link carries, as a sniffer."""
    client = make(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    client.bind(("ist0", 3))
    return "breach: a sniffer"


def packet_by_upper_half(at, port):
    """The family is an int: what stands in the upper half of its register means nothing."""
    return system_call(41, 1 << 32 | socket.AF_PACKET, socket.SOCK_RAW, 0)


def packet_by_x32(at, port):
    return system_call(0x40000000 | 41, socket.AF_PACKET, socket.SOCK_RAW, 0)


def packet_by_pair(at, port):
    return system_call(53, socket.AF_PACKET, socket.SOCK_RAW, 0, ctypes.create_string_buffer(8))


def packet_by_ring(at, port):
    import uring

    uring.make_socket(socket.AF_PACKET, socket.SOCK_RAW)
    return "breach: a packet socket"


def system_call(number, *arguments):
    libc.syscall.restype = ctypes.c_long
    if libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "breach: a socket"


def packet_by_32_bit(at, port):
    """int 0x80 with the numbers of 32-bit x86: socket(2), and socketcall(2), which hides its arguments."""
    import mmap

    answers = set()
    libc.mmap.restype = ctypes.c_void_p
    low = libc.mmap(None, 4096, 7, 0x62, -1, 0)  # MAP_32BIT | MAP_ANONYMOUS | MAP_PRIVATE, executable
    arguments = low + 2048
    ctypes.memmove(arguments, struct.pack("=III", socket.AF_PACKET, socket.SOCK_RAW, 0), 12)
    for number, first in ((359, None), (102, 1)):
        code = b"\x53"  # push rbx
        code += b"\xb8" + struct.pack("=I", number)  # mov eax
        code += b"\xbb" + struct.pack("=I", socket.AF_PACKET if first is None else first)  # mov ebx
        code += b"\xb9" + struct.pack("=I", socket.SOCK_RAW if first is None else arguments)  # mov ecx
        code += b"\x31\xd2\xcd\x80\x5b\xc3"  # xor edx, edx; int 0x80; pop rbx; ret
        ctypes.memmove(low, code, len(code))
        answers.add(ctypes.CFUNCTYPE(ctypes.c_int)(low)())
    if any(answer >= 0 for answer in answers):
        return "breach: a socket"
    raise OSError(-max(answers), "")


NAMES = {
    16: "netlink", 17: "packet", 21: "rds", 30: "tipc", 38: "alg", 40: "vsock", 42: "qrtr", 43: "smc", 44: "xdp",
}


def others(at, port):
    """Every family but unix, inet, inet6 and netlink, as streams, datagrams and raw."""
    made = []
    for family in range(0, 50):
        if family in (1, 2, 10, 16):
            continue
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            try:
                make(family, kind).close()
                made.append(f"{NAMES.get(family, family)}/{kind}")
            except OSError:
                pass
    if made:
        return "breach: " + " ".join(made)
    raise OSError(97, "")  # EAFNOSUPPORT


def vsock(at, port):
    """To the host, where this is a virtual machine."""
    make(40, socket.SOCK_STREAM)
    return "breach: a socket"


def xdp(at, port):
    make(44, socket.SOCK_RAW)
    return "breach: a socket"


def inet_kinds(at, port):
    """Every type and protocol of AF_INET and AF_INET6 but TCP, MPTCP and UDP."""
    made = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in range(1, 7):
            for protocol in PROTOCOLS:
                if (kind, protocol) in ((1, 0), (1, 6), (1, 262), (2, 0), (2, 17)):
                    continue
                try:
                    make(family, kind, protocol).close()
                    made.append(f"{family}/{kind}/{protocol}")
                except OSError:
                    pass
    if made:
        return "breach: " + " ".join(made[:8])
    raise OSError(1, "")
