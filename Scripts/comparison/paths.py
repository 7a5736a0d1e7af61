"""The ways on which programs reach each other: direct, on one runner, and across two. A program's services are a
deployment of its own; direct, each is a network namespace."""
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from laboratory.cluster import Cluster, Runners, ip
from laboratory.programs import SLOWNESS, Failure

INSTALLATION = "istbpf-compare"
# What our own ends of a connection are.
ENDS = pathlib.Path(__file__).parent / "ends"
# What `istbpf run` leaves, so that the programs have no more rights on the plain network.
CAPABILITIES = ("chown", "dac_override", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
                "net_bind_service", "sys_chroot", "audit_write", "setfcap")


class Network:
    """One program's services on one path, for the time of a `with`. Ends what it started."""

    def __init__(self, programs, deployment, services):
        self.programs, self.deployment, self.services = programs, deployment, list(services)
        self.running = []
        self.directories = []  # to be removed in the end, beside its own

    def __enter__(self):
        self.files = tempfile.mkdtemp(prefix="compare-")
        os.chmod(self.files, 0o755)  # for servers that run as other users
        try:
            self.make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            if process in self.programs.running:
                self.programs.end(process)
        self.remove()
        shutil.rmtree(self.files, ignore_errors=True)
        for directory in self.directories:
            os.rmdir(directory)

    def make(self):
        """What there must be before a command can run."""

    def remove(self):
        """Takes it away again."""

    def address(self, service):
        """What the other services ask for to reach it."""
        raise NotImplementedError

    def run(self, service, user):
        """The command that runs a command as an instance of the service."""
        raise NotImplementedError

    def file(self, name):
        return pathlib.Path(self.files, name)

    def command(self, service, command, user=None):
        """`command` is a list, or a script for bash, which has its own address in $OWN."""
        if isinstance(command, str):
            command = ["bash", "-c", f"set -o pipefail; own=($(hostname -I)); OWN=${{own[0]}}\n{command}"]
        return [*self.run(service, user), *map(str, command)]

    def start(self, service, command, user=None, **options):
        """Starts a command that goes on; what it says is in a file that `said` reads."""
        number = len(self.running)
        if "stdout" not in options:
            options["stdout"] = open(self.file(f"{service}-{number}.log"), "w")
            options["stderr"] = subprocess.STDOUT
        # The program's own files are below the root directory, which every user may enter.
        process = self.programs.spawn(self.command(service, command, user), cwd="/", **options)
        process.log = self.file(f"{service}-{number}.log")
        self.running.append(process)
        return process

    def end(self, process, kill=False):
        if kill:
            process.kill()
        self.programs.end(process)
        self.running.remove(process)

    def call(self, service, command, user=None, patience=90, input=None, statuses=(0,)):
        """What a command says that ends by itself, in so many seconds."""
        result = self.result(service, command, user, patience, input)
        if result.returncode not in statuses:
            raise Failure(f"{describe(command)}: exit status {result.returncode}: "
                          f"{(result.stderr.strip() or result.stdout.strip())[-2000:]}")
        return result.stdout

    def result(self, service, command, user=None, patience=90, input=None):
        process = self.start(service, command, user, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL)
        try:
            out, errors = process.communicate(input, timeout=patience * SLOWNESS)
        except subprocess.TimeoutExpired:
            self.end(process, kill=True)
            raise Failure(f"{describe(command)}: did not end in {patience * SLOWNESS} s") from None
        self.running.remove(process)
        self.programs.running.remove(process)
        return subprocess.CompletedProcess(command, process.returncode, out, errors)

    def await_true(self, what, condition, patience=30):
        end = time.monotonic() + patience * SLOWNESS
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"{what}: not in {patience * SLOWNESS} s{self.logs()}")
            time.sleep(0.05)

    def await_success(self, what, service, command, user=None, patience=30):
        """Waits until a command succeeds."""
        self.await_true(what, lambda: self.result(service, command, user).returncode == 0, patience)

    def await_port(self, caller, service, port):
        """Waits until `caller` reaches the service's port."""
        self.await_success(f"{service}:{port}", caller, ["nc", "-z", "-w", "2", self.address(service), port])

    def await_listener(self, process, port):
        """Waits until somebody where the process is listens: without a connect, which some would count."""
        def listens():
            if process.poll() is not None:
                raise Failure(f"what was to listen on {port} ended: {process.returncode}{self.logs()}")
            lines = [line for name in ("tcp", "tcp6")
                     for line in pathlib.Path(f"/proc/{process.pid}/net/{name}").read_text().splitlines()]
            return any(words[1].endswith(f":{port:04X}") and words[3] == "0A" for words in map(str.split, lines))

        self.await_true(f"a listener on {port}", listens)

    def logs(self):
        """The ends of what the servers said."""
        texts = [(path.name, path.read_text(errors="replace")[-1500:].strip())
                 for path in sorted(pathlib.Path(self.files).glob("*.log"))]
        return "".join(f"\n--- {name}\n{text}" for name, text in texts if text)


def describe(command):
    return command if isinstance(command, str) else " ".join(map(str, command))


class DirectNetwork(Network):
    """A namespace for each service, and a veth between each two. Addresses are like the fabric's."""

    def namespace(self, service):
        return f"compare-{service}"

    def address(self, service):
        return f"198.18.{self.services.index(service) + 1}.2"

    def make(self):
        for service in self.services:
            subprocess.run(["ip", "netns", "delete", self.namespace(service)], stderr=subprocess.DEVNULL)
            ip("netns", "add", self.namespace(service))
            ip("-n", self.namespace(service), "link", "set", "lo", "up")
        for one, other in itertools.combinations(self.services, 2):
            ip("link", "add", f"to-{other}", "netns", self.namespace(one), "type", "veth",
               "peer", "name", f"to-{one}", "netns", self.namespace(other))
            for near, far in ((one, other), (other, one)):
                ip("-n", self.namespace(near), "address", "add", f"{self.address(near)}/32",
                   "dev", f"to-{far}")
                ip("-n", self.namespace(near), "link", "set", f"to-{far}", "up")
                ip("-n", self.namespace(near), "route", "add", self.address(far), "dev", f"to-{far}",
                   "src", self.address(near))

    def remove(self):
        for service in self.services:
            subprocess.run(["ip", "netns", "delete", self.namespace(service)], stderr=subprocess.DEVNULL)

    def run(self, service, user):
        as_user = ["--reuid", user, "--regid", user, "--init-groups"] if user else []
        variables = [f"WARP_IST_{other}={self.address(other)}" for other in self.services]
        return ["nsenter", f"--net=/run/netns/{self.namespace(service)}", "setpriv", "--inh-caps=-all",
                "--bounding-set=-all," + ",".join(f"+{name}" for name in CAPABILITIES), *as_user, "--",
                "env", *variables]


class FabricNetwork(Network):
    """Instances: all on one runner, or each service on its own, as `places` says."""

    def __init__(self, programs, deployment, services, installation, deploy, place):
        """`deploy` declares services; `place` gives the command that runs one as an instance."""
        super().__init__(programs, deployment, services)
        self.installation, self.deploy, self.place = installation, deploy, place

    def make(self):
        self.deploy(self.deployment, *self.services)
        answer = self.programs.istbpf(
            self.installation, "env", f"{self.deployment}/{self.services[0]}", "--json")
        self.variables = json.loads(answer)

    def address(self, service):
        return self.variables[f"WARP_IST_{service}"]

    def run(self, service, user):
        return self.place(self.deployment, service, *(["--user", user] if user else []))


class Direct:
    title = "direct"

    def __init__(self, programs):
        self.programs = programs

    def network(self, deployment, places):
        return DirectNetwork(self.programs, deployment, places)


class OneRunner:
    title = "one runner"

    def __init__(self, programs, log):
        self.programs = programs
        programs.start_daemon(INSTALLATION, log)

    def network(self, deployment, places):
        return FabricNetwork(self.programs, deployment, places, INSTALLATION, self.deploy, self.place)

    def deploy(self, deployment, *services):
        self.programs.istbpf(INSTALLATION, "deploy", "-d", deployment,
                             *(word for service in services for word in ("-s", service)))

    def place(self, deployment, service, *options):
        return [self.programs.path("istbpf"), "run", "--installation", INSTALLATION, "-d", deployment,
                "-s", service, *options, "--"]


class AcrossRunners:
    title = "across"

    def __init__(self, programs, log):
        self.programs = programs
        self.cluster = Cluster(programs, log, "compare", "10.76.0")

    def __enter__(self):
        self.cluster.__enter__()
        try:
            self.runners = Runners(self.cluster, "compare", 7443)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.cluster.__exit__()

    def network(self, deployment, places):
        def place(deployment, service, *options):
            return self.runners.run(places[service], deployment, service, *options)

        return FabricNetwork(self.programs, deployment, places, self.runners.installation(1),
                             self.runners.deploy, place)
