"""Two runners, each a network namespace of this machine with daemons; a veth, the wire, joins them, and etcd is
their registry."""
import json
import pathlib
import subprocess
import tempfile
import time

from . import delay
from .programs import SLOWNESS, Failure

RUNNERS = (1, 2)
# What an emulated machine takes longer than the default for.
SLOW_ETCD = {"leaseSeconds": 30, "callTimeoutSeconds": 20} if SLOWNESS > 1 else {}


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


class Cluster:
    """The runners' namespaces, etcd and an authority, for the time of a `with`."""

    def __init__(self, programs, log, name, network, one_way_delay=None):
        """`name` begins the namespaces' names, and is the cluster's; `network` is the first three numbers of the
        wire's addresses; what the wire delays each way is in seconds."""
        self.programs, self.log, self.name, self.network = programs, log, name, network
        self.delay = one_way_delay
        self.namespaces = []

    def namespace(self, n):
        return f"{self.name}-{n}" if n == delay.MIDDLE else f"{self.name}-runner{n}"

    def at(self, n):
        """The command that runs a command on runner `n`."""
        return ["nsenter", f"--net=/run/netns/{self.namespace(n)}"]

    def address(self, n):
        return f"{self.network}.{n}"

    @property
    def endpoint(self):
        return f"http://{self.address(1)}:2379"

    def __enter__(self):
        self.files = tempfile.TemporaryDirectory()
        self.directory = self.files.name
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def make(self):
        self.join()
        self.programs.spawn(
            [*self.at(1), "etcd", "--data-dir", f"{self.directory}/etcd", "--log-level", "error",
             "--listen-client-urls", self.endpoint, "--advertise-client-urls", self.endpoint,
             "--listen-peer-urls", "http://127.0.0.1:2380"], stdout=self.log, stderr=self.log)
        subprocess.run([self.programs.path("istbpf"), "ca", "init", "--cluster", self.name,
                        "--directory", f"{self.directory}/ca"], check=True, stdout=subprocess.DEVNULL)
        self.await_etcd()

    def await_etcd(self):
        end = time.monotonic() + 20 * SLOWNESS
        while subprocess.run([*self.at(1), "env", "ETCDCTL_API=3", "etcdctl", "--endpoints", self.endpoint,
                              "endpoint", "health"], capture_output=True).returncode != 0:
            if time.monotonic() > end:
                raise Failure(f"etcd did not answer in {20 * SLOWNESS} s")
            time.sleep(0.1)

    def join(self):
        for n in RUNNERS:
            self.make_namespace(n)
        ip("link", "add", "wire", "netns", self.namespace(1), "type", "veth",
           "peer", "name", "wire", "netns", self.namespace(2))
        if self.delay and not delay.netem(self.at, self.delay):
            ip("-n", self.namespace(1), "link", "delete", "wire")
            self.make_namespace(delay.MIDDLE)
            delay.join(self.programs, self.namespace, self.at, self.delay)
        for n in RUNNERS:
            ip("-n", self.namespace(n), "address", "add", f"{self.address(n)}/24", "dev", "wire")
            ip("-n", self.namespace(n), "link", "set", "wire", "up")

    def make_namespace(self, n):
        subprocess.run(["ip", "netns", "delete", self.namespace(n)], stderr=subprocess.DEVNULL)
        ip("netns", "add", self.namespace(n))
        self.namespaces.append(self.namespace(n))
        ip("-n", self.namespace(n), "link", "set", "lo", "up")

    def end_tunnels(self, n, port):
        """Breaks off every connection of runner `n` to tunnel port `port`."""
        subprocess.run([*self.at(n), "ss", "--tcp", "--ipv4", "--kill", "--no-header", "state", "established",
                        "dport", f"= :{port}"], check=True, stdout=subprocess.DEVNULL)

    def __exit__(self, *_):
        self.programs.stop()
        for name in self.namespaces:
            subprocess.run(["ip", "netns", "delete", name], check=False)
        self.files.cleanup()


class Runners:
    """A pair of daemons, one on each runner of a cluster."""

    def __init__(self, cluster, name, tunnel_port, kernel_tls=True):
        """Starts them; `name` begins their names. Where the kernel has TLS they use it if `kernel_tls`."""
        self.cluster, self.name = cluster, name
        for n in RUNNERS:
            self.start(n, tunnel_port, kernel_tls)

    def installation(self, n):
        return f"istbpf-{self.name}-r{n}"

    def start(self, n, tunnel_port, kernel_tls):
        cluster, programs = self.cluster, self.cluster.programs
        name, directory = f"{self.name}{n}", cluster.directory
        subprocess.run([programs.path("istbpf"), "ca", "issue", name, "--directory", f"{directory}/ca",
                        "--out", directory], check=True, stdout=subprocess.DEVNULL)
        configuration = pathlib.Path(directory, f"{name}.json")
        configuration.write_text(json.dumps({
            "cluster": cluster.name,
            "etcd": {"endpoints": [cluster.endpoint]} | SLOW_ETCD,
            "tunnel": {"address": f"{cluster.address(n)}:{tunnel_port}",
                       "certificate": f"{directory}/{name}.crt", "key": f"{directory}/{name}.key",
                       "authorities": f"{directory}/ca.crt", "denied": f"{directory}/ca/denied",
                       "kernelTLS": kernel_tls}}))
        programs.start_daemon(self.installation(n), cluster.log, cluster.at(n), [
            "--runner-name", name, "--config", str(configuration), "--log-level", "error"])

    def deploy(self, deployment, *services):
        arguments = [word for service in services for word in ("-s", service)]
        self.cluster.programs.istbpf(self.installation(1), "deploy", "-d", deployment, *arguments)

    def run(self, n, deployment, service, *options):
        """The command that runs a command on runner `n` as an instance of a service."""
        return [*self.cluster.at(n), self.cluster.programs.path("istbpf"), "run", "--installation",
                self.installation(n), "-d", deployment, "-s", service, *options, "--"]


def kernel_has_tls():
    """Once a daemon has tried, which loads the module."""
    return pathlib.Path("/proc/net/tls_stat").exists()
