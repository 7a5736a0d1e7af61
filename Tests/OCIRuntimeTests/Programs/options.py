"""Tries to leave the instance that it runs in by whatever an option of the engine may have left open, and says
as JSON what of that worked, what became of a connect to an address outside, and which capabilities it has."""

import ctypes, errno, json, os, socket, sys

libc = ctypes.CDLL(None, use_errno=True)
breaches = []


def attempt(what, body):
    try:
        body()
        breaches.append(what)
    except OSError:
        pass


def connect(address, port):
    client = socket.socket()
    client.settimeout(5)
    try:
        client.connect((address, port))
        return "connected"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    finally:
        client.close()


def mounts():
    with open("/proc/self/mountinfo") as table:
        for line in table:
            left, right = line.split(" - ")
            yield left.split()[4], right.split()[0]


def move(directory):
    """To the topmost cgroup that can be seen, from which no program of the instance is in the way."""
    with open(directory + "/cgroup.procs", "w") as file:
        file.write("0")


def write(path):
    descriptor = os.open(path, os.O_WRONLY)
    os.close(descriptor)


def create(directory):
    path = directory + "/istbpf-probe"
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT))
    os.unlink(path)


def by_other_processes():
    """What is behind /proc/PID/root of everything that can be seen, as the user that each runs as."""
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            status = os.stat(f"/proc/{name}")
        except OSError:
            continue
        libc.setfsgid(status.st_gid)
        libc.setfsuid(status.st_uid)
        for place in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            try:
                move(f"/proc/{name}/root{place}")
            except OSError:
                pass
        libc.setfsuid(0)
        libc.setfsgid(0)


for path, kind in mounts():
    if kind == "cgroup2":
        try:
            move(path)
        except OSError:
            pass
by_other_processes()
attempt("core_pattern", lambda: write("/proc/sys/kernel/core_pattern"))
attempt("sysrq", lambda: write("/proc/sysrq-trigger"))
attempt("uevent of a device", lambda: write("/sys/devices/virtual/mem/null/uevent"))
attempt("packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close())
attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 6).close())
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM, 0).close())
attempt("disk", lambda: write("/dev/probe"))
for directory in sys.argv[1:]:
    attempt(directory, lambda: create(directory))
with open("/proc/self/status") as status:
    bounding = next(line.split()[1] for line in status if line.startswith("CapBnd"))
print(
    json.dumps(
        {
            "breaches": breaches,
            "outside": connect("192.0.2.1", 9),
            "neighbour": connect("127.0.0.1", 7001),
            "bounding": bounding,
        }
    )
)
