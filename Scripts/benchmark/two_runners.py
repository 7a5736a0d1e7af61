"""Two runners, each a network namespace of this machine with a daemon; a veth, the wire, joins them.

Programs go through istbpf, beside raw TCP over the same wire and what others would encrypt it with. Where
the kernel has TLS, a second pair of daemons encrypts in user space.
"""
import json
import pathlib
import subprocess
import tempfile

from . import delay, peers
from .programs import ORDINARY, Pair
from .report import take_turns

SECTIONS = ("across-bulk", "across-cpu", "across-round-trip", "across-connect", "across-delay")
PORT = 7000
RUNNERS = (1, 2)
DELAY = 0.02  # seconds of a round trip


def namespace(n):
    return f"bench-runner{n}"


def at(n):
    """The command that runs a command on runner `n`."""
    return ["nsenter", f"--net=/run/netns/{namespace(n)}"]


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Wire:
    """The runners' namespaces, joined directly or through a forwarder that delays every frame."""

    def __init__(self, programs, delayed=False):
        self.namespaces = []
        for n in (*RUNNERS, *([delay.MIDDLE] if delayed else [])):
            subprocess.run(["ip", "netns", "delete", namespace(n)], stderr=subprocess.DEVNULL)
            ip("netns", "add", namespace(n))
            self.namespaces.append(namespace(n))
            ip("-n", namespace(n), "link", "set", "lo", "up")
        if delayed:
            delay.join(programs, namespace, at, DELAY / 2)
        else:
            ip("link", "add", "wire", "netns", namespace(1), "type", "veth",
               "peer", "name", "wire", "netns", namespace(2))
        for n in RUNNERS:
            ip("-n", namespace(n), "address", "add", f"{address(n)}/24", "dev", "wire")
            ip("-n", namespace(n), "link", "set", "wire", "up")

    def remove(self):
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def address(n):
    return f"10.78.0.{n}"


class Runners:
    """A pair of daemons, one on each runner, and a deployment across them."""

    def __init__(self, deployment, tunnel_port, kernel_tls):
        self.deployment, self.tunnel_port, self.kernel_tls = deployment, tunnel_port, kernel_tls

    def installation(self, n):
        return f"istbpf-{self.deployment}-r{n}"

    def start(self, programs, directory, endpoint, log):
        for n in RUNNERS:
            name = f"{self.deployment}{n}"
            issue(programs, directory, name)
            configuration = pathlib.Path(directory, f"{name}.json")
            configuration.write_text(json.dumps({
                "cluster": "bench", "etcd": {"endpoints": [endpoint]},
                "tunnel": {"address": f"{address(n)}:{self.tunnel_port}",
                           "certificate": f"{directory}/{name}.crt", "key": f"{directory}/{name}.key",
                           "authorities": f"{directory}/ca.crt", "denied": f"{directory}/ca/denied",
                           "kernelTLS": self.kernel_tls}}))
            programs.start_daemon(self.installation(n), log, at(n), [
                "--runner-name", name, "--config", str(configuration), "--log-level", "error"])
        programs.istbpf(self.installation(1), "deploy", "-d", self.deployment, "-s", "db", "-s", "app")

    def pair(self, programs):
        def run(n, service):
            return [*at(n), programs.path("istbpf"), "run", "--installation", self.installation(n),
                    "-d", self.deployment, "-s", service, "--"]

        return Pair(programs, PORT, "$WARP_IST_db", run(2, "db"), run(1, "app"))


STANDARD = Runners("bench", 7443, True)
USER_SPACE = Runners("user", 7444, False)


def issue(programs, directory, name):
    subprocess.run([programs.path("istbpf"), "ca", "issue", name, "--directory", f"{directory}/ca",
                    "--out", directory], check=True, stdout=subprocess.DEVNULL)


def kernel_has_tls():
    """Once a daemon has tried, which loads the module."""
    return pathlib.Path("/proc/net/tls_stat").exists()


class laboratory:
    """The wire, etcd, an authority and the contenders that every section has, for the time of a `with`;
    gives these and a directory for files."""

    def __init__(self, programs, log, delayed=False):
        self.programs, self.log, self.delayed = programs, log, delayed

    def __enter__(self):
        programs, log = self.programs, self.log
        self.files = tempfile.TemporaryDirectory()
        directory = self.files.name
        self.wire = Wire(programs, self.delayed)
        endpoint = f"http://{address(1)}:2379"
        programs.spawn([*at(1), "etcd", "--data-dir", f"{directory}/etcd", "--log-level", "error",
                        "--listen-client-urls", endpoint, "--advertise-client-urls", endpoint,
                        "--listen-peer-urls", "http://127.0.0.1:2380"], stdout=log, stderr=log)
        subprocess.run([programs.path("istbpf"), "ca", "init", "--cluster", "bench",
                        "--directory", f"{directory}/ca"], check=True, stdout=subprocess.DEVNULL)
        STANDARD.start(programs, directory, endpoint, log)
        contenders = {"IST": STANDARD.pair(programs),
                      "raw TCP": Pair(programs, PORT, address(2), at(2), at(1))}
        if kernel_has_tls():
            USER_SPACE.start(programs, directory, endpoint, log)
            contenders["IST, user space"] = USER_SPACE.pair(programs)
        return contenders, directory

    def __exit__(self, *_):
        self.programs.stop()
        self.wire.remove()
        self.files.cleanup()


def measure(programs, options, log):
    rows = []
    if any(options.wants(section) for section in SECTIONS[:-1]):
        with laboratory(programs, log) as (contenders, directory):
            rows += measure_direct(
                contenders | peers.start(programs, at, address, PORT, directory, log), options)
    if options.wants("across-delay"):
        with laboratory(programs, log, delayed=True) as (contenders, _):
            rows += turns("across-delay", f"connect, 1 byte, close, {DELAY * 1000:.0f} ms", "ms",
                          contenders, options,
                          lambda pair: 1000 / pair.measure(f"connect {options.seconds}")["value"])
            rows += turns("across-delay", f"connect() alone, {DELAY * 1000:.0f} ms", "ms",
                          contenders, options,
                          lambda pair: pair.measure(f"connect-time {options.seconds}")["value"] / 1000)
    return rows


def turns(section, case, unit, contenders, options, value):
    return take_turns(section, case, unit, options.rounds,
                      {name: lambda pair=pair: value(pair) for name, pair in contenders.items()},
                      "raw TCP")


def measure_direct(contenders, options):
    seconds, rows = options.seconds, []
    if options.wants("across-bulk"):
        for case, order in (("one stream, 64 KiB writes", f"bulk {seconds} 65536 1"),
                            ("16 streams, 64 KiB writes", f"bulk {seconds} 65536 16")):
            # Tunnels are made a few at a time, as an emulated CPU would take too long for 16 handshakes.
            for streams in (4, 8, 12):
                for pair in contenders.values():
                    pair.measure(f"bulk 0.1 65536 {streams}")
            rows += turns("across-bulk", case, "GB/s", contenders, options,
                          lambda pair, order=order: pair.measure(order)["value"])
    if options.wants("across-cpu"):
        rows += turns("across-cpu", "one stream, whole machine", "CPU s/GiB", contenders, options,
                      lambda pair: processor_time(pair, f"bulk {seconds} 65536 1"))
    if options.wants("across-round-trip"):
        rows += turns("across-round-trip", "64 B", "us", contenders, options,
                      lambda pair: pair.measure(f"round-trip {seconds} 64")["value"])
    if options.wants("across-connect"):
        def connects(case):
            return turns("across-connect", case, "1/s", contenders, options,
                         lambda pair: pair.measure(f"connect {seconds}")["value"])

        rows += connects("connect, 1 byte, close")
        for pair in contenders.values():
            pair.replace(ORDINARY)  # which takes no other order, and so comes last
        rows += connects("the same by Python's socketserver")
    return rows


def processor_time(pair, order):
    """Seconds that the machine's CPUs were busy for a GiB, client and server included."""
    def busy():
        with open("/proc/stat") as file:
            user, nice, system, _, _, irq, softirq, *_ = map(int, file.readline().split()[1:])
        return (user + nice + system + irq + softirq) / 100

    before = busy()
    count = pair.measure(order)["count"]
    return (busy() - before) / (count / (1 << 30))
