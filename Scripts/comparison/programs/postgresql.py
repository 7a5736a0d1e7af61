"""PostgreSQL, its own load tool, and a streaming standby."""
import glob
import re
import shlex
import shutil
import time

from ..case import Outcome, Program, case, check

PORT = 5432
# A KiB a row, different in each, and the same on every path.
ROWS = "select i, repeat(md5(i::text), 32) from generate_series(1, {}) i"


def program(name):
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    check(found, f"no {name}: Scripts/setup postgresql installs it")
    return found[-1]


class PostgreSQL(Program):
    """pgbench, COPY, and a streaming standby on another runner than its primary"""
    packages = ("postgresql",)
    places = {"client": 1, "server": 2, "standby": 1}

    def start(self):
        for name in ("data", "socket", "copy"):
            self.network.file(name).mkdir()
            self.owned(name)
        self.data = self.network.file("data")
        self.network.call("server", [program("initdb"), "--auth", "trust", "--no-sync", "-D", self.data],
                          user="postgres")
        with open(self.data / "pg_hba.conf", "a") as file:
            file.write("host all all 198.18.0.0/15 trust\nhost replication all 198.18.0.0/15 trust\n")
        self.server = self.serve("server", self.data)
        self.network.await_success("PostgreSQL", "client", [
            program("pg_isready"), "-q", "-h", self.network.address("server"), "-p", PORT])
        self.network.call("client", self.pgbench("-i", "-q", "-s", self.scale.count(10, least=2)))

    def owned(self, name):
        shutil.chown(self.network.file(name), "postgres", "postgres")
        self.network.file(name).chmod(0o700)

    def serve(self, service, data, *options):
        return self.network.start(service, [
            program("postgres"), "-D", data, "-p", PORT, "-c", "listen_addresses=*", "-c", "max_connections=250",
            "-c", "fsync=off", "-c", f"unix_socket_directories={self.network.file('socket')}",
            "-c", "max_wal_size=4GB", *options], user="postgres")

    def address(self, service="server"):
        return ["-h", self.network.address(service), "-p", str(PORT), "-U", "postgres"]

    def pgbench(self, *options):
        return [program("pgbench"), *self.address(), *map(str, options), "postgres"]

    def psql(self, *commands, service="server"):
        words = [word for command in commands for word in ("-c", command)]
        return [program("psql"), *self.address(service), "-XAtq", "-v", "ON_ERROR_STOP=1", *words, "postgres"]

    def ask(self, *commands, service="server"):
        return self.network.call("client", self.psql(*commands, service=service)).strip()

    def load(self, *options):
        """Transactions per second, and that none failed."""
        before = int(self.ask("select count(*) from pgbench_history"))
        said = self.network.call("client", self.pgbench("-T", self.scale.seconds, "-n", *options))
        done = int(re.search(r"actually processed: (\d+)", said)[1])
        failed = int(re.search(r"failed transactions: (\d+)", said)[1])
        check(done > 0 and failed == 0, f"pgbench {' '.join(map(str, options))}: {said}")
        kept = int(self.ask("select count(*) from pgbench_history")) - before
        kinds = {"in the history": kept == (0 if "-S" in options else done), "failed": failed}
        return Outcome(kinds, float(re.search(r"tps = ([\d.]+)", said)[1]))

    @case("select only, 1 client", "1/s")
    def select_one(self):
        return self.load("-S", "-c", 1)

    @case("select only, 50 clients", "1/s")
    def select_many(self):
        return self.load("-S", "-c", 50, "-j", 2)

    @case("select only, prepared, 50 clients", "1/s", full_only=True)
    def prepared(self):
        return self.load("-S", "-M", "prepared", "-c", 50, "-j", 2)

    @case("simple update, 10 clients", "1/s")
    def update(self):
        return self.load("-N", "-c", 10, "-j", 2)

    @case("select only, a connection for each (-C), 1 client", "1/s", full_only=True)
    def connect_each(self):
        return self.load("-S", "-C", "-c", 1)

    @case("select only, a connection for each (-C), 10 clients", "1/s")
    def connect_each_many(self):
        return self.load("-S", "-C", "-c", 10, "-j", 2)

    @case("COPY out, a GiB, its hash", "MB/s")
    def copy_out(self):
        rows = self.scale.count(1 << 20)
        command = shlex.join(self.psql(f"copy ({ROWS.format(rows)}) to stdout"))
        begun = time.monotonic()
        digest = self.network.call("client", f"{command} | sha256sum", patience=300)
        return Outcome(digest, rows * 1030e-6 / (time.monotonic() - begun))

    @case("COPY in, a GiB, its hash at the server", "MB/s")
    def copy_in(self):
        rows, source = self.scale.count(1 << 20), self.network.file("source")
        said = self.network.file("copy") / "digest"
        self.network.call("server", shlex.join([
            program("psql"), "-h", str(self.network.file("socket")), "-p", str(PORT), "-U", "postgres", "-XAtq",
            "-c", f"copy ({ROWS.format(rows)}) to stdout", "postgres"]) + f" > {source}", patience=300)
        self.ask("drop table if exists big", "create unlogged table big (number int, text text)")
        begun = time.monotonic()
        self.network.call("client", self.psql(f"\\copy big from {source}"), patience=300)
        taken = time.monotonic() - begun
        self.network.call("client", self.psql(f"copy big to program 'sha256sum > {said}'"), patience=300)
        sent = self.network.call("client", f"sha256sum < {source}", patience=300)
        count = self.ask("select count(*) from big")
        self.ask("drop table big")
        source.unlink()
        return Outcome((said.read_text(), sent == said.read_text(), count), rows * 1030e-6 / taken)

    @case("an error in the middle of a COPY, and a cancelled query")
    def errors(self):
        bad = self.network.result("client", f"printf '1\\n2\\nno number\\n' | " + shlex.join(
            self.psql("create temp table t (i int)", "copy t from stdin")))
        slow = self.network.result("client", "timeout --signal=INT 0.5 " + shlex.join(
            self.psql("select pg_sleep(60)")))
        killed = self.network.result("client", self.psql(
            "select pg_terminate_backend(pg_backend_pid())"))
        return Outcome([(each.returncode, each.stderr.replace(self.network.address("server"), "SERVER"))
                        for each in (bad, slow, killed)])

    @case("50 sessions that LISTEN have each of 100 notifications")
    def notify(self):
        """They wait for a lock that the one which notifies holds until all of them listen."""
        holding = self.network.start("client", self.psql(
            "select pg_advisory_lock(1)",
            "do $$ begin while (select count(*) from pg_locks where locktype = 'advisory' and not granted) < 50 "
            "loop perform pg_sleep(0.05); end loop; end $$",
            "select pg_notify('news', i::text) from generate_series(1, 100) i"))
        self.network.await_true("the lock is held", lambda: self.ask(
            "select count(*) from pg_locks where locktype = 'advisory' and granted") == "1")
        listening = shlex.join(self.psql("listen news", "select pg_advisory_lock_shared(1)", "select pg_sleep(0.2)"))
        said = self.network.call("client", f"{listening} & " * 50 + "wait")
        holding.wait()
        self.network.end(holding)
        return Outcome(said.count('Asynchronous notification "news"'))

    @case("a streaming standby: synchronous commits, 4 clients", "1/s")
    def standby(self):
        """Cloned over the network; it is found by its address; it catches up after both ends were killed."""
        copy = self.network.file("standby")
        copy.mkdir()
        self.owned("standby")
        self.network.call("standby", [program("pg_basebackup"), *self.address(), "-D", copy, "-R", "-X", "stream",
                                      "-c", "fast", "--no-sync"], user="postgres", patience=120)
        own = self.network.file("standby-socket")
        own.mkdir()
        self.owned("standby-socket")

        def serve():
            return self.serve("standby", copy, "-c", f"unix_socket_directories={own}", "-c",
                              "wal_retrieve_retry_interval=200ms")

        follower = serve()
        self.streaming()
        address = self.ask("select client_addr from pg_stat_replication")
        asked = self.network.call("client", self.psql("select pg_is_in_recovery(), host(inet_server_addr())",
                                                      service="standby"))
        own_address = asked.strip().split("|")[1]
        self.ask("alter system set synchronous_standby_names = '*'", "alter system set synchronous_commit = "
                 "remote_apply", "select pg_reload_conf()")
        try:
            figure = self.load("-N", "-c", 4, "-j", 2)
        finally:
            self.ask("alter system reset all", "select pg_reload_conf()")
        seen = {"the primary sees the standby's own address": address == own_address,
                "read after a synchronous commit": self.equal()}
        self.network.end(follower, kill=True)
        self.network.call("client", self.pgbench("-N", "-n", "-t", 200, "-c", 2))
        follower = serve()
        self.streaming()
        seen["after the standby was killed"] = self.caught_up()
        self.ask("select pg_terminate_backend(pid) from pg_stat_replication")
        self.network.call("client", self.pgbench("-N", "-n", "-t", 200, "-c", 2))
        seen["after its connection was cut"] = self.caught_up()
        self.network.end(self.server, kill=True)
        self.server = self.serve("server", self.data)
        self.network.await_success("the primary, killed and started again", "client", self.psql("select 1"))
        self.network.call("client", self.pgbench("-N", "-n", "-t", 200, "-c", 2))
        self.streaming()
        seen["after the primary was killed"] = self.caught_up()
        self.network.end(follower)
        return Outcome((seen, figure.seen), figure.figure)

    def streaming(self):
        self.network.await_true("the standby streams", lambda: self.ask(
            "select state from pg_stat_replication where state = 'streaming'") == "streaming")

    def equal(self):
        query = "select count(*), sum(delta), md5(string_agg(aid::text, ',' order by aid, tid, delta, mtime)) " \
                "from pgbench_history"
        return self.ask(query) == self.ask(query, service="standby")

    def caught_up(self):
        self.network.await_true("the standby has what the primary has", self.equal)
        return True
