"""Redis, its own load tool, and a replica."""
import csv
import hashlib
import io
import re

from ..case import Outcome, Program, case, check

PORT = 6379


def serve(network, service, *options):
    # It would write its dump where it is.
    return network.start(service, "exec redis-server --save '' --appendonly no --protected-mode no "
                         f"--bind 0.0.0.0 --port {PORT} --dir {network.files} --loglevel warning "
                         f"--dbfilename {service}.rdb --repl-diskless-sync-delay 0 {' '.join(options)}")


def load(network, service, count, *options):
    """Requests per second of GET, after SET did as many."""
    said = network.call("client", ["redis-benchmark", "-h", network.address(service), "-p", PORT, "-t", "set,get",
                                   "--csv", "-n", count, *options])
    rates = {row["test"]: float(row["rps"]) for row in csv.DictReader(io.StringIO(said))}
    check(set(rates) == {"SET", "GET"}, f"redis-benchmark: {said}")
    return Outcome(sorted(rates), rates["GET"])


class Redis(Program):
    """redis-benchmark, pub/sub, mass insertion, and a replica that announces its instance address"""
    packages = ("redis-server", "redis-tools")
    places = {"client": 1, "server": 2, "replica": 1}

    def start(self):
        serve(self.network, "server", "--enable-debug-command", "yes")
        self.network.await_port("client", "server", PORT)

    def ask(self, *words, service="server", **options):
        return self.network.call(
            "client", ["redis-cli", "-h", self.network.address(service), "-p", PORT, *words], **options).strip()

    def load(self, full, *options):
        return load(self.network, "server", self.scale.count(full), *options)

    @case("1 client", "1/s", full_only=True)
    def one(self):
        return self.load(100_000, "-c", 1)

    @case("50 clients, -P 1", "1/s")
    def many(self):
        return self.load(400_000, "-c", 50)

    @case("50 clients, -P 16", "1/s")
    def pipelined(self):
        return self.load(2_000_000, "-c", 50, "-P", 16)

    @case("50 clients, values of 100 kB", "1/s", full_only=True)
    def large(self):
        return self.load(20_000, "-c", 50, "-d", 100_000)

    @case("50 clients, a connection for each (-k 0)", "1/s")
    def connect_each(self):
        return self.load(40_000, "-c", 50, "-k", 0)

    @case("mass insertion (--pipe), a digest of the keys")
    def insertion(self):
        self.ask("flushall")
        count = self.scale.count(1_000_000)
        said = self.network.call("client", f"seq {count} | sed 's/.*/SET key:& value:&\\r/' | "
                                           f"redis-cli -h {self.network.address('server')} --pipe")
        seen = (said, self.ask("dbsize"), self.ask("debug", "digest"))
        self.ask("flushall")
        return Outcome(seen)

    @case("pub/sub: 20 subscribers have each message, in order", "1/s")
    def publish(self):
        """The figure is what the publisher's own time gives; the subscribers run in one instance."""
        count, server = self.scale.count(100_000), self.network.address("server")
        script = f"""
          rm -f {self.network.files}/heard.*
          for n in $(seq 20); do
            redis-cli -h {server} --csv subscribe news > {self.network.files}/heard.$n & pids="$pids $!"
          done
          until [ "$(redis-cli -h {server} pubsub numsub news | tail -n 1)" = 20 ]; do sleep 0.05; done
          begun=$(date +%s.%N)
          seq {count} | sed 's/.*/PUBLISH news message-&/' | redis-cli -h {server} > {self.network.files}/told
          for n in $(seq 20); do
            until tail -n 1 {self.network.files}/heard.$n | grep -q 'message-{count}"'; do sleep 0.02; done
          done
          ended=$(date +%s.%N)
          kill $pids
          echo "$begun $ended"
          cat {self.network.files}/told | sort | uniq -c
          """
        times, *told = self.network.call("client", script).strip().splitlines()
        begun, ended = map(float, times.split())
        heard = {hashlib.sha256(path.read_bytes()).hexdigest() for path in self.network.file("").glob("heard.*")}
        return Outcome((told, sorted(heard)), count / (ended - begun))

    @case("a replica: found by its address, killed, cut, and equal in the end")
    def replica(self):
        self.insert(50_000)
        options = f"--replicaof {self.network.address('server')} {PORT} --replica-announce-ip $OWN " \
                  "--enable-debug-command yes"
        replica = serve(self.network, "replica", options)
        seen = {"first": self.in_step()}
        line = re.search(r"slave0:ip=([\d.]+),port=(\d+),state=(\w+)", self.ask("info", "replication"))
        # As Sentinel's clients do: they connect to the address that is announced.
        announced = self.network.call("client", ["redis-cli", "-h", line[1], "-p", line[2], "role"]).split()
        seen["asked by the address that it announces"] = announced[0], announced[3]
        seen["waited for"] = self.ask("wait", "1", "5000")
        self.ask("client", "kill", "type", "replica")
        self.insert(10_000)
        seen["after its connection was cut"] = self.in_step()
        self.network.end(replica, kill=True)
        self.insert(20_000)
        replica = serve(self.network, "replica", options)
        seen["after it was killed"] = self.in_step()
        self.network.end(replica)
        self.ask("flushall")
        return Outcome(seen)

    def insert(self, full):
        self.network.call("client", f"seq {self.scale.count(full)} | sed 's/.*/INCRBY key:& &\\r/' | "
                          f"redis-cli -h {self.network.address('server')} --pipe")

    def in_step(self):
        def equal():
            state = self.network.result("client", [
                "redis-cli", "-h", self.network.address("replica"), "-p", PORT, "info", "replication"]).stdout
            return "master_link_status:up" in state and \
                self.ask("debug", "digest") == self.ask("debug", "digest", service="replica")

        self.network.await_true("the replica has what the server has", equal)
        return True
