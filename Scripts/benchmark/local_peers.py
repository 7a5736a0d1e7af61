"""What else leads from one container to another on one machine: a bridge, as podman and Docker make it, the proxy by
which Docker publishes ports, HAProxy and socat.

All of it is in namespaces of its own: one stands for the host, with the proxies in it, and two on its bridge for
containers. So nothing of this machine is in the way, and none of it is changed.
"""
import contextlib
import pathlib
import subprocess
import tempfile

from .pair import Pair
from .proxies import HAPROXY, ready

HOST, CONTAINERS = "istbpf-bench-host", {2: "istbpf-bench-c2", 3: "istbpf-bench-c3"}
NETWORK = "10.81.0"
PACKAGES = ("socat",)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def at(namespace):
    return ["nsenter", f"--net=/run/netns/{namespace}"]


@contextlib.contextmanager
def start(programs, port, log):
    """A pair through each of them, by name."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            make_bridge()
            yield pairs(programs, port, log, directory)
        finally:
            programs.stop()
            remove()


def remove():
    for namespace in (HOST, *CONTAINERS.values()):
        subprocess.run(["ip", "netns", "delete", namespace], stderr=subprocess.DEVNULL)


def make_bridge():
    remove()  # what a run that was killed left behind
    for namespace in (HOST, *CONTAINERS.values()):
        ip("netns", "add", namespace)
        ip("-n", namespace, "link", "set", "lo", "up")
    ip("-n", HOST, "link", "add", "bridge", "type", "bridge")
    ip("-n", HOST, "address", "add", f"{NETWORK}.1/24", "dev", "bridge")
    ip("-n", HOST, "link", "set", "bridge", "up")
    for n, namespace in CONTAINERS.items():
        ip("link", "add", f"port{n}", "netns", HOST, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        ip("-n", HOST, "link", "set", f"port{n}", "master", "bridge", "up")
        ip("-n", namespace, "address", "add", f"{NETWORK}.{n}/24", "dev", "eth0")
        ip("-n", namespace, "link", "set", "eth0", "up")


def pairs(programs, port, log, directory):
    host, container = at(HOST), at(CONTAINERS[3])
    server = f"{NETWORK}.3"
    made = {"bridge": ready(Pair(programs, port, server, container, at(CONTAINERS[2])))}
    for index, (name, command) in enumerate((("docker-proxy", docker_proxy), ("HAProxy", haproxy),
                                             ("socat", socat))):
        entry, service = port + 10 * (index + 1), port + 10 * (index + 1) + 1
        programs.spawn([*host, *command(entry, server, service, directory)], stdout=log, stderr=log)
        made[name] = ready(Pair(programs, service, "127.0.0.1", container, host, entry))
    return made


def docker_proxy(entry, server, service, _):
    # It tells its start on descriptor 3, and closes that.
    return ["sh", "-c", 'exec "$0" "$@" 3>/dev/null', "docker-proxy", "-proto", "tcp", "-host-ip", "127.0.0.1",
            "-host-port", str(entry), "-container-ip", server, "-container-port", str(service)]


def haproxy(entry, server, service, directory):
    file = pathlib.Path(directory, "haproxy.cfg")
    file.write_text(HAPROXY.format(listen=f"127.0.0.1:{entry}", bind_tls="", next=f"{server}:{service}",
                                   next_tls=""))
    return ["haproxy", "-db", "-f", str(file)]


def socat(entry, server, service, _):
    return ["socat", f"TCP-LISTEN:{entry},bind=127.0.0.1,fork,reuseaddr,nodelay,backlog=128",
            f"TCP:{server}:{service},nodelay"]
