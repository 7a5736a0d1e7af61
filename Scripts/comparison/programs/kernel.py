"""The kernel's own selftests of TCP, from Debian's package of its sources. None of them is in this repository."""
import glob
import re
import shutil
import subprocess
import tarfile
import tempfile
import time

from laboratory.programs import ROOT

from ..case import Outcome, Program, case, check

SOURCES = ("mptcp/mptcp_connect.c", "tcp_mmap.c", "msg_zerocopy.c")
BUILT = ROOT / ".build" / "kernel-selftests"
PORT = 10000


def build():
    """Compiles them, once for each version of the package."""
    archives = glob.glob("/usr/src/linux-source-6.1.tar.*")
    check(archives, "no /usr/src/linux-source-6.1.tar.xz: Scripts/setup linux-source-6.1 installs it")
    version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "linux-source-6.1"], check=True,
                             capture_output=True, text=True).stdout
    stamp = BUILT / "version"
    if stamp.exists() and stamp.read_text() == version:
        return
    shutil.rmtree(BUILT, ignore_errors=True)
    BUILT.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(archives[0]) as archive:
            left = set(SOURCES)
            for member in archive:  # a stream: it is read no further than the last of them
                name = member.name.partition("/tools/testing/selftests/net/")[2]
                if name not in left:
                    continue
                text = archive.extractfile(member).read().decode()
                # 32 GiB as it is, which is not a parameter.
                text = re.sub(r"#define FILE_SZ .*", '#define FILE_SZ strtoull(getenv("FILE_SZ"), NULL, 0)', text)
                source = f"{directory}/{name.rpartition('/')[2]}"
                with open(source, "w") as file:
                    file.write(text)
                program = BUILT / name.rpartition("/")[2].removesuffix(".c")
                subprocess.run(["gcc", "-O2", "-w", "-o", program, source, "-lpthread"], check=True)
                left.remove(name)
                if not left:
                    break
        check(not left, f"{archives[0]} has no {', '.join(sorted(left))}")
    stamp.write_text(version)


class Kernel(Program):
    """the kernel's selftests mptcp_connect (TCP, by poll, mmap and sendfile), tcp_mmap and msg_zerocopy"""
    packages = ("linux-source-6.1", "gcc", "libc6-dev")

    def start(self):
        build()
        self.port = PORT
        for name in ("to-server", "to-client"):
            size = self.scale.count(64 << 20)
            self.network.call("client", f"head -c {size} /dev/urandom > {self.network.file(name)}")

    def transfer(self, server, client, protocol="TCP"):
        """mptcp_connect at both ends, each with its options: what each sends is what the other gets."""
        self.port += 1
        files = self.network.files
        receiver = self.network.start(
            "server", f"cd {files}; {BUILT}/mptcp_connect -t 30 -l -p {self.port} -s {protocol} {server} 0.0.0.0 "
            "< to-client > at-server; echo $? > status")
        self.network.await_listener(receiver, self.port)
        said = self.network.result(
            "client", f"cd {files}; {BUILT}/mptcp_connect -t 30 -p {self.port} -s {protocol} {client} "
            f"{self.network.address('server')} < to-server > at-client")
        self.network.await_true("mptcp_connect at the server ends", lambda: receiver.poll() is not None)
        self.network.end(receiver)
        seen = [said.returncode, self.network.file("status").read_text().strip()]
        seen += [self.network.file(sent).read_bytes() == self.network.file(got).read_bytes()
                 for sent, got in (("to-server", "at-server"), ("to-client", "at-client"))]
        self.network.file("status").unlink()
        check(seen == [0, "0", True, True], f"mptcp_connect: exit statuses and whether all came: {seen}: "
                                            f"{said.stderr}{self.network.logs()}")
        return seen

    @case("mptcp_connect, TCP by poll, 64 MiB both ways", "s")
    def poll(self):
        return self.timed("-m poll", "-m poll")

    @case("mptcp_connect, TCP by mmap and write", "s")
    def mmap(self):
        return self.timed("-m mmap", "-m mmap")

    @case("mptcp_connect, TCP by sendfile", "s")
    def sendfile(self):
        return self.timed("-m sendfile", "-m sendfile")

    @case("mptcp_connect, TCP, buffers of 16 KiB at both ends", "s")
    def small_buffers(self):
        return self.timed("-R 16384 -S 16384", "-R 16384 -S 16384")

    @case("mptcp_connect, TCP, MSG_PEEK before each read", "s", full_only=True)
    def peek(self):
        return self.timed("-P saveWithPeek", "-P saveAfterPeek")

    @case("mptcp_connect, TCP, SO_TIMESTAMPNS with each read", "s", full_only=True)
    def timestamps(self):
        return self.timed("-c TIMESTAMPNS", "-c TIMESTAMPNS")

    @case("mptcp_connect, MPTCP at both ends", "s")
    def mptcp(self):
        return self.timed("", "", "MPTCP")

    def timed(self, *options):
        begun = time.monotonic()
        return Outcome(self.transfer(*options), time.monotonic() - begun)

    @case("tcp_mmap: 8 GiB by write, read by TCP_ZEROCOPY_RECEIVE", "Gbit/s")
    def tcp_mmap(self):
        return self.zero_copy_receive("-z", "")

    @case("tcp_mmap: 8 GiB by MSG_ZEROCOPY, read by TCP_ZEROCOPY_RECEIVE", "Gbit/s", full_only=True)
    def tcp_mmap_zero_copy(self):
        return self.zero_copy_receive("-z", "-z")

    def zero_copy_receive(self, server, client):
        self.port += 1
        size = self.scale.count(8 << 30)
        receiver = self.network.start("server", ["stdbuf", "-oL", BUILT / "tcp_mmap", "-4", "-s",
                                                   "-p", self.port, *server.split()])
        self.network.await_listener(receiver, self.port)
        self.network.call("client", ["env", f"FILE_SZ={size}", BUILT / "tcp_mmap", "-4", "-p", self.port, "-H",
                                     self.network.address("server"), *client.split()])
        said = []

        def received():
            said[:] = re.findall(r"received (\S+) MB.* ([\d.]+) Gbit", receiver.log.read_text())
            return said

        self.network.await_true("tcp_mmap says what came", received)
        self.network.end(receiver)
        return Outcome([float(mebibytes) for mebibytes, _ in said], float(said[0][1]))

    @case("msg_zerocopy: what was sent, and completions for all of it", "MB/s")
    def msg_zerocopy(self):
        self.port += 1
        seconds = self.scale.seconds
        receiver = self.network.start("server", f"exec {BUILT}/msg_zerocopy -4 -p {self.port} -t {seconds + 2} -D $OWN "
                                                "-r tcp")
        self.network.await_listener(receiver, self.port)
        sender = self.network.result("client", [BUILT / "msg_zerocopy", "-4", "-p", self.port, "-t", seconds, "-D",
                                                self.network.address("server"), "-z", "tcp"])
        check(sender.returncode == 0, f"msg_zerocopy: {sender.stderr}")
        self.network.await_true("msg_zerocopy at the server ends", lambda: receiver.poll() is not None)
        self.network.end(receiver)
        sent = re.search(r"tx=(\d+) \((\d+) MB\) txc=(\d+)", sender.stderr)
        got = re.search(r"rx=(\d+) \((\d+) MB\)", receiver.log.read_text())
        check(sent and got, f"msg_zerocopy: {sender.stderr} {receiver.log.read_text()}")
        seen = {"completions for all": sent[1] == sent[3], "megabytes that came": got[2] == sent[2]}
        return Outcome((receiver.returncode, seen), int(sent[2]) / seconds)
