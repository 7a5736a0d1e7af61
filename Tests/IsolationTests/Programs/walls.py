"""The walls themselves: control socket, maps and programs, cgroups, other processes, other namespaces.
Each says `breach` where it got there; who is attacked is looked at besides."""

import ctypes, errno, os, socket, struct, time

import namespaces

libc = ctypes.CDLL(None, use_errno=True)
check = namespaces.check


def reached(what):
    return f"breach: {what}"


def control_socket(at, port):
    socket.socket(socket.AF_UNIX).connect(at["control"])
    return reached("the control socket")


def control_socket_by_proc(at, port):
    socket.socket(socket.AF_UNIX).connect(f"/proc/{at['daemon']}/root" + at["control"])
    return reached("the control socket")


def control_socket_uncovered(at, port):
    """What lies over it, taken away."""
    check(libc.umount2(os.path.dirname(at["control"]).encode(), 2))
    socket.socket(socket.AF_UNIX).connect(at["control"])
    return reached("the control socket")


def control_socket_uncovered_as_root(at, port):
    namespaces.unshare(namespaces.NEWUSER | namespaces.NEWNS)
    return control_socket_uncovered(at, port)


def registry(at, port):
    with open(at["state"] + "/registry.sqlite", "rb") as file:
        file.read(1)
    return reached("the registry")


def pinned(at, port):
    os.stat(at["pins"] + "/services")
    return reached("a pinned map")


def bpf(command, attributes):
    return check(libc.syscall(321, command, ctypes.create_string_buffer(attributes, 128), 128))


def map_by_pin(at, port):
    path = ctypes.create_string_buffer((at["pins"] + "/services").encode())
    bpf(7, struct.pack("=QII", ctypes.addressof(path), 0, 0))  # OBJ_GET
    return reached("a map")


def map_by_number(at, port):
    """BPF_MAP_GET_NEXT_ID and BPF_MAP_GET_FD_BY_ID."""
    attributes = ctypes.create_string_buffer(128)
    check(libc.syscall(321, 12, attributes, 128))
    bpf(14, struct.pack("=I", struct.unpack_from("=I", attributes, 4)[0]))
    return reached("a map")


def new_map(at, port):
    bpf(0, struct.pack("=IIII", 2, 4, 4, 1))
    return reached("a map of its own")


def detach(at, port):
    """Its own cgroup opened for reading is enough to name it. BPF_PROG_DETACH needs no capability, but
    the program: by BPF_PROG_QUERY and BPF_PROG_GET_FD_BY_ID."""
    own = at["cgroups"] if os.path.exists(at["cgroups"] + "/cgroup.freeze") else at["cgroups"] + at["cgroup"]
    directory = os.open(own, os.O_RDONLY | os.O_DIRECTORY)
    for hook in (0, 1, 10, 11):
        try:
            bpf(9, struct.pack("=IIII", directory, 0, hook, 0))
            return reached("a hook without its program")
        except OSError:
            pass
    number = ctypes.create_string_buffer(4)
    bpf(16, struct.pack("=IIIIQI", directory, 3, 0, 0, ctypes.addressof(number), 1))
    bpf(13, number.raw)
    return reached("a program")


def bpffs_of_its_own(at, port):
    """A new bpffs in a user namespace has none of the pins."""
    namespaces.unshare(namespaces.NEWUSER | namespaces.NEWNS)
    check(libc.mount(b"bpf", b"/mnt", b"bpf", 0, None))
    return reached("pins") if os.listdir("/mnt") else "done"


def ptrace(at, port):
    """PTRACE_ATTACH to an instance of another deployment, of the same user and capabilities."""
    # One at a time can: others may be at it just now.
    for patience in range(20):
        if libc.ptrace(16, at["victim"], 0, 0) == 0:
            break
        if patience == 19:
            raise OSError(ctypes.get_errno(), "")
        time.sleep(0.01)
    os.waitpid(at["victim"], 0)
    libc.ptrace(17, at["victim"], 0, 0)
    return reached("another instance")


def steal_descriptor(at, port):
    """pidfd_getfd: a socket of another deployment."""
    check(libc.syscall(438, check(libc.syscall(434, at["victim"], 0)), 0, 0))
    return reached("a descriptor")


def read_memory(at, port):
    with open(f"/proc/{at['victim']}/mem", "rb") as file:
        file.seek(int(open(f"/proc/{at['victim']}/maps").read().split("-")[0], 16))
        file.read(4)
    return reached("memory")


def read_memory_by_call(at, port):
    """process_vm_readv."""
    place = int(open("/proc/self/maps").read().split("-")[0], 16)
    buffer = ctypes.create_string_buffer(4)
    local = ctypes.create_string_buffer(struct.pack("=QQ", ctypes.addressof(buffer), 4))
    remote = ctypes.create_string_buffer(struct.pack("=QQ", place, 4))
    # ESRCH: it is not there for who asks. Anything else but EPERM is about the address.
    if libc.process_vm_readv(at["victim"], local, 1, remote, 1, 0) < 0 and ctypes.get_errno() in (1, 3):
        raise OSError(ctypes.get_errno(), "")
    return reached("memory")


def root_of_victim(at, port):
    os.listdir(f"/proc/{at['victim']}/root/")
    return reached("another's root")


def root_of_host(at, port):
    os.listdir(f"/proc/{at['daemon']}/root/")
    return reached("the host's root")


def environment_of_victim(at, port):
    with open(f"/proc/{at['victim']}/environ") as file:
        return reached("another's environment") if file.read() else "done"


def signal(at, port):
    os.kill(at["victim"], 0)
    return reached("a signal")


def signal_daemon(at, port):
    os.kill(at["daemon"], 0)
    return reached("a signal")


def namespace_of(path):
    check(libc.setns(os.open(path, os.O_RDONLY), 0))
    return reached("a namespace")


def namespace_of_host(at, port):
    return namespace_of(f"/proc/{at['daemon']}/ns/net")


def namespace_of_victim(at, port):
    return namespace_of(f"/proc/{at['victim']}/ns/net")


def namespace_by_pidfd(at, port):
    check(libc.setns(check(libc.syscall(434, at["victim"], 0)), namespaces.NEWNET))
    return reached("a namespace")


def fabric_by_name(at, port):
    return namespace_of("/run/netns/" + at["fabric_name"])


def namespace_by_socket(at, port):
    """SIOCGSKNS: the namespace of a socket."""
    import fcntl

    one = socket.socket()
    check(libc.setns(fcntl.ioctl(one.fileno(), 0x894C), 0))
    return reached("a namespace")


def tun(at, port):
    """A device of its own in the container's network."""
    import fcntl

    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, 0x400454CA, struct.pack("=16sH14x", b"out0", 0x1001))
    return reached("a device")


def device_node(at, port):
    node = f"/tmp/istbpf-escape-{os.getpid()}"
    os.mknod(node, 0o20600, os.makedev(1, 1))
    try:
        # By itself a node is nothing: an engine's rules may allow to make it, and none to open it.
        os.close(os.open(node, os.O_RDONLY))
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise
    finally:
        os.unlink(node)
    return reached("a device")


def remount(at, port):
    """What is read-only, made writable."""
    check(libc.mount(None, at["cgroups"].encode(), None, 32 | 4096, None))
    check(libc.mount(None, at["cgroups"].encode(), None, 32 | 4096 | 1, None))
    return reached("cgroupfs")


def kernel_setting(at, port):
    with open("/proc/sys/kernel/core_pattern", "r+") as file:
        file.write(file.read())
    return reached("the kernel's settings")


def handle(at, port):
    """open_by_handle_at(2), which asks no mount."""
    handle = struct.pack("=Ii", 8, 1) + bytes(8)
    mount = os.open("/", os.O_RDONLY)
    if libc.syscall(304, mount, ctypes.create_string_buffer(handle), 0) < 0 and ctypes.get_errno() == 1:
        raise OSError(1, "")
    return reached("files by number")
