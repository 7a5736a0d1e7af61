"""Two runners, each a network namespace of this machine with a daemon; a veth, the wire, joins them.

Programs go through istbpf, beside raw TCP over the same wire and what others would encrypt it with. Where
the kernel has TLS, a second pair of daemons encrypts in user space.
"""
import contextlib
import time

from laboratory.cluster import Cluster, Runners, kernel_has_tls
from laboratory.programs import Failure

from . import overlays, proxies
from .pair import ORDINARY, Pair
from .report import take_turns

SECTIONS = ("across-bulk", "across-cpu", "across-round-trip", "across-connect", "across-stay", "across-delay")
PORT = 7000
PACKAGES = ("nebula", "spiped", "wireguard-go", "wireguard-tools")
DELAY = 0.02  # seconds of a round trip
TUNNEL_PORTS = {"IST": 7443, "IST, user space": 7444}


def pair(runners, deployment):
    """Between two services of a deployment of its own, one on each runner."""
    runners.deploy(deployment, "db", "app")
    return Pair(runners.cluster.programs, PORT, "$WARP_IST_db",
                runners.run(2, deployment, "db"), runners.run(1, deployment, "app"))


@contextlib.contextmanager
def laboratory(programs, log, one_way_delay=None):
    """A cluster, and the contenders that every section has."""
    with Cluster(programs, log, "bench", "10.78.0", one_way_delay) as cluster:
        contenders = {"IST": pair(Runners(cluster, "bench", TUNNEL_PORTS["IST"]), "bench"),
                      "raw TCP": Pair(programs, PORT, cluster.address(2), cluster.at(2), cluster.at(1))}
        if kernel_has_tls():
            user = Runners(cluster, "user", TUNNEL_PORTS["IST, user space"], kernel_tls=False)
            contenders["IST, user space"] = pair(user, "user")
        yield contenders, cluster


def measure(programs, options, log):
    rows = []
    if any(options.wants(section) for section in SECTIONS[:-1]):
        with laboratory(programs, log) as (contenders, cluster):
            rows += measure_direct(
                contenders | overlays.start(cluster, PORT) | proxies.start(cluster, PORT), cluster, options)
    if options.wants("across-delay"):
        with laboratory(programs, log, DELAY / 2) as (contenders, cluster):
            rows += measure_delayed(contenders, cluster, options)
    return rows


def measure_delayed(contenders, cluster, options):
    seconds, delay = options.seconds, f"{DELAY * 1000:.0f} ms"
    rows = turns("across-delay", f"connect, 1 byte, close, {delay}", "ms", contenders, options,
                 lambda pair: 1000 / pair.measure(f"connect {seconds}")["value"])
    rows += turns("across-delay", f"connect() alone, {delay}", "ms", contenders, options,
                  lambda pair: pair.measure(f"connect-time {seconds}")["value"] / 1000)

    def without_tunnel(name):
        # A tunnel that is being made would be there for the connect.
        time.sleep(8 * DELAY)
        if name in TUNNEL_PORTS:
            cluster.end_tunnels(1, TUNNEL_PORTS[name])
            time.sleep(DELAY)
        # So short that it is one connection.
        return contenders[name].measure("connect-time 0.001")["value"] / 1000

    rows += take_turns("across-delay", f"connect() alone, no tunnel ready, {delay}", "ms",
                       max(options.rounds, round(20 * seconds)),
                       {name: lambda name=name: without_tunnel(name) for name in contenders}, "raw TCP")
    return rows


def turns(section, case, unit, contenders, options, value):
    return take_turns(section, case, unit, options.rounds,
                      {name: lambda pair=pair: value(pair) for name, pair in contenders.items()},
                      "raw TCP")


def measure_staying(contenders, cluster, options):
    """Connections that accumulate: each needs a tunnel of its own, and finds none that was made for another."""
    count = 200 if options.quick else 1000

    def begin(name, order):
        if name in TUNNEL_PORTS:
            cluster.end_tunnels(1, TUNNEL_PORTS[name])
        time.sleep(0.2)
        try:
            return contenders[name].measure(order)["value"]
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from failure

    def rows(case, order, names):
        return take_turns("across-stay", case, "1/s", options.rounds,
                          {name: lambda name=name: begin(name, order) for name in names}, "raw TCP")

    # spiped resets some of so many that come at once.
    return (rows(f"{count} that stay, one after the other", f"stay {count}", contenders)
            + rows(f"{count} at once", f"burst {count}", [name for name in contenders if name != "spiped"]))


def measure_direct(contenders, cluster, options):
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
    if options.wants("across-stay"):
        rows += measure_staying(contenders, cluster, options)
    if options.wants("across-connect"):
        def connects(case, at_once=""):
            return turns("across-connect", case, "1/s", contenders, options,
                         lambda pair: pair.measure(f"connect {seconds} {at_once}")["value"])

        rows += connects("connect, 1 byte, close")
        for at_once in (16, 256):
            rows += connects(f"the same, {at_once} at once", at_once)
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
