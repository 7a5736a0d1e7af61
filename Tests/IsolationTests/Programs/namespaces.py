"""New namespaces made inside, processes and cgroups moved and nested, and what a container changes of its
own network: each ends with an attempt to get out, or to be somebody else."""

import ctypes, os, socket, struct, subprocess, time

import tcp

libc = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWCGROUP, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x2000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def unshare(flags):
    """As root of a new user namespace, where that is needed and allowed."""
    user, group = os.getuid(), os.getgid()
    check(libc.unshare(flags))
    if flags & NEWUSER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def ip(*words):
    """Changes the network by ip(8), whose refusal is EPERM for all that is tried here."""
    result = subprocess.run(["/sbin/ip", *words], capture_output=True, text=True)
    if result.returncode:
        raise OSError(1 if "not permitted" in result.stderr else 22, result.stderr.strip())


def user(at, port):
    """All capabilities, but over nothing that is not its own."""
    unshare(NEWUSER)
    tcp.gateway(at, port)


def user_packet(at, port):
    unshare(NEWUSER)
    import families

    families.packet(at, port)


def user_and_net(at, port):
    unshare(NEWUSER | NEWNET)
    ip("link", "set", "lo", "up")
    tcp.gateway(at, port)


def packet_in_net(at, port):
    """A packet socket is to be had there, but no link to the outside."""
    unshare(NEWUSER | NEWNET)
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packets.bind(("lo", 0))
    packets.send(bytes(14) + b"let me out")


def tunnel_in_net(at, port):
    """A route over a device of one's own leads nowhere else."""
    unshare(NEWUSER | NEWNET)
    ip("tuntap", "add", "t0", "mode", "tun")
    ip("link", "set", "t0", "up")
    ip("route", "add", "default", "dev", "t0")
    tcp.gateway(at, port)


def veth_to_parent(at, port):
    """A cable from a new namespace into the old one."""
    parent = os.getppid()
    unshare(NEWUSER | NEWNET)
    ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", str(parent))
    return "breach: a cable"


def macvlan_of_ist0(at, port):
    """A second station on the instance's link."""
    unshare(NEWUSER)
    ip("link", "add", "m0", "link", "ist0", "type", "macvlan")
    ip("link", "del", "m0")
    return "breach: a station"


def take_ist0_along(at, port):
    unshare(NEWUSER)
    ip("link", "set", "ist0", "netns", str(os.getpid()))
    return "breach: moved"


def back_again(at, port):
    """From a new network namespace back into the old one, with new capabilities."""
    old = os.open("/proc/self/ns/net", os.O_RDONLY)
    unshare(NEWUSER | NEWNET)
    check(libc.setns(old, NEWNET))
    return "breach: entered"


def socket_from_before(at, port):
    """A socket stays in the namespace where it was made, and its cgroup's."""
    client = tcp.stream()
    unshare(NEWUSER | NEWNET)
    client.connect((at["gateway"], port))


def process_namespace(at, port):
    unshare(NEWUSER | NEWPID)
    child = os.fork()
    if child == 0:
        try:
            tcp.gateway(at, port)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 110)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(status, "")


def mount_cgroups(at):
    """cgroup2 of a cgroup namespace of one's own, writable."""
    unshare(NEWUSER | NEWNS | NEWCGROUP)
    check(libc.mount(b"cgroup2", b"/mnt", b"cgroup2", 0, None))
    return "/mnt"


def nested_cgroup(at, port):
    directory = mount_cgroups(at)
    os.makedirs(f"{directory}/nested/deep", exist_ok=True)
    try:
        with open(f"{directory}/nested/deep/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
        tcp.gateway(at, port)
    finally:
        with open(f"{directory}/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
        os.rmdir(f"{directory}/nested/deep")
        os.rmdir(f"{directory}/nested")


def clone_into(directory):
    """clone3(2) with CLONE_INTO_CGROUP; returns True in the child."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    arguments = struct.pack("=11Q", 0x200000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, descriptor)
    return check(libc.syscall(435, ctypes.create_string_buffer(arguments), len(arguments)))


def cgroup_of(process):
    with open(f"/proc/{process}/cgroup") as file:
        return [line for line in file if line.startswith("0::")][0].strip()


def clone_into_root(at, port):
    """A child born in the topmost cgroup that can be found: its sockets would meet no hook."""
    child = clone_into(at["cgroups"])
    if child == 0:
        try:
            tcp.gateway(at, port)
        except OSError as error:
            os._exit(error.errno or 110)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        raise OSError(status, "")


def move_to_root(at, port):
    own = cgroup_of("self")
    with open(at["cgroups"] + "/cgroup.procs", "w") as file:
        file.write("0")
    try:
        tcp.gateway(at, port)
    finally:
        with open(at["cgroups"] + own.removeprefix("0::") + "/cgroup.procs", "w") as file:
            file.write("0")


def new_cgroup(at, port):
    """Beside the instance's own."""
    beside = f"{at['cgroups']}/istbpf-escape-{os.getpid()}"
    os.mkdir(beside)
    os.rmdir(beside)
    return "breach: a cgroup"


def thread(at, port):
    """From another thread than the first."""
    import threading

    errors = []

    def connect():
        try:
            tcp.gateway(at, port)
        except OSError as error:
            errors.append(error)

    one = threading.Thread(target=connect)
    one.start()
    one.join()
    if errors:
        raise errors[0]


def other_user(at, port):
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    tcp.gateway(at, port)


def executed(at, port):
    """Another program, through a setuid root shell's interpreter."""
    script = f"import socket; s = socket.socket(); s.settimeout(0.2); raise SystemExit(s.connect_ex(('{at['gateway']}', {port})))"
    status = subprocess.run(["/usr/bin/python3", "-c", script]).returncode
    if status:
        raise OSError(status, "")


def orphan(at, port):
    """A daemon that has nobody of the container as its parent."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        try:
            tcp.gateway(at, port)
            error = 0
        except OSError as failure:
            error = failure.errno or 110
        os.write(writer, struct.pack("=i", error))
        os._exit(0)
    error = struct.unpack("=i", os.read(reader, 4))[0]
    if error:
        raise OSError(error, "")


# The container's own network.


def second_address(at, port):
    """As an instance of another service."""
    ip("addr", "add", "198.18.3.2/32", "dev", "ist0")
    try:
        tcp.connect(at, 3211, "db", prepare=lambda c: c.bind(("198.18.3.2", 0)))
    finally:
        ip("addr", "del", "198.18.3.2/32", "dev", "ist0")


def second_address_of_lo(at, port):
    ip("addr", "add", "198.18.3.3/32", "dev", "lo")
    try:
        tcp.connect(at, 3211, "db", prepare=lambda c: c.bind(("198.18.3.3", 0)))
    finally:
        ip("addr", "del", "198.18.3.3/32", "dev", "lo")


def range_by_route(at, port):
    """The range by way of the bridge, where somebody else may answer for it."""
    ip("route", "add", at["db"] + "/32", "via", at["gateway"])
    try:
        tcp.connect(at, port, "db")
    finally:
        ip("route", "del", at["db"] + "/32", "via", at["gateway"])


def range_by_rule(at, port):
    ip("route", "add", "default", "via", at["gateway"], "table", "77")
    ip("rule", "add", "pref", "1", "to", at["db"], "lookup", "77")
    try:
        tcp.connect(at, port, "db")
    finally:
        ip("rule", "del", "pref", "1")
        ip("route", "flush", "table", "77")


def foreign_by_ist0(at, port):
    """Any address by way of the fabric."""
    ip("route", "add", at["far"] + "/32", "via", "169.254.1.1", "dev", "ist0", "onlink")
    try:
        tcp.routed(at, port)
    finally:
        ip("route", "del", at["far"] + "/32")


def ist0_down(at, port):
    """Without ist0 the range is a matter of the default route."""
    ip("link", "set", "ist0", "down")
    try:
        tcp.connect(at, port, "db")
    finally:
        raise_ist0(at)


def raise_ist0(at):
    ip("link", "set", "ist0", "up")
    ip("neigh", "replace", "169.254.1.1", "lladdr", "02:69:73:74:00:01", "dev", "ist0", "nud", "permanent")
    ip("route", "replace", "169.254.1.1", "dev", "ist0", "scope", "link")
    ip("route", "replace", "198.18.0.0/15", "via", "169.254.1.1", "dev", "ist0", "src", at["own"])


def ipv6_on_ist0(at, port):
    """IPv6 switched on again on ist0, as uid 0 may by sysctl, and the victim's link-local address."""
    with open("/proc/sys/net/ipv6/conf/ist0/disable_ipv6", "w") as file:
        file.write("0")
    try:
        time.sleep(0.05)
        ip("neigh", "replace", "fe80::2", "lladdr", "02:69:73:74:00:01", "dev", "ist0", "nud", "permanent")
        ip("addr", "add", "fe80::1/64", "dev", "ist0", "nodad")
        tcp.stream(socket.AF_INET6).connect(("fe80::2", port, 0, socket.if_nametoindex("ist0")))
    finally:
        with open("/proc/sys/net/ipv6/conf/ist0/disable_ipv6", "w") as file:
            file.write("1")


def forwarding(at, port):
    """The container as a router between its bridge and the fabric, for a neighbour."""
    with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
        file.write("1")
    return "breach: a router"


def masquerade(at, port):
    """The same with the instance's own address as the source."""
    result = subprocess.run(
        ["/usr/sbin/iptables", "-t", "nat", "-A", "POSTROUTING", "-o", "ist0", "-j", "MASQUERADE"], capture_output=True, text=True)
    if result.returncode:
        raise OSError(1, result.stderr)
    subprocess.run(["/usr/sbin/iptables", "-t", "nat", "-F"])
    return "breach: masqueraded"


def qdisc(at, port):
    """A tc filter on ist0 that would see and change every packet."""
    result = subprocess.run(["/sbin/tc", "qdisc", "add", "dev", "ist0", "clsact"], capture_output=True, text=True)
    if result.returncode:
        raise OSError(1, result.stderr)
    subprocess.run(["/sbin/tc", "qdisc", "del", "dev", "ist0", "clsact"])
    return "breach: a qdisc"
