"""OpenSSH, with rsync and scp."""
import os
import pathlib
import random
import time

from ..case import Outcome, Program, case

PORT = 2222


def plant(root, share):
    """A tree of files of many sizes, links and empty directories, the same each time."""
    dice = random.Random(1)
    for number in range(int(2000 * share) + 20):
        path = pathlib.Path(root, f"d{number % 17}", f"e{number % 5}", f"file-{number}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(dice.choice((0, 1, 100, 5_000, 60_000))))
    pathlib.Path(root, "empty").mkdir()
    os.symlink("d1/e1/file-1", f"{root}/link")
    with open(f"{root}/large", "wb") as file:
        for _ in range(int(256 * share) + 1):
            file.write(dice.randbytes(1 << 20))


class OpenSSH(Program):
    """sshd, with rsync of a tree each way, scp, many sessions and a forwarded port"""
    packages = ("openssh-server", "openssh-client", "rsync")

    def start(self):
        files = self.network.files
        # sshd gives up its privileges into it, and its package makes it only as its service starts.
        if not os.path.exists("/run/sshd"):
            os.mkdir("/run/sshd", mode=0o755)
            self.network.directories.append("/run/sshd")
        for key in ("host", "user"):
            self.network.call("server", ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{files}/{key}"])
        self.network.file("keys").write_bytes(self.network.file("user.pub").read_bytes())
        self.network.file("sshd_config").write_text(f"""
          Port {PORT}
          HostKey {files}/host
          AuthorizedKeysFile {files}/keys
          PidFile none
          PermitRootLogin yes
          StrictModes no
          UsePAM no
          MaxStartups 200
          MaxSessions 100
          Subsystem sftp internal-sftp
          """)
        self.options = f"-i {files}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null " \
                       "-o BatchMode=yes -o LogLevel=ERROR -F /dev/null"
        self.ssh = f"ssh -p {PORT} {self.options}"
        self.host = f"root@{self.network.address('server')}"
        self.tree = self.network.file("tree")
        self.tree.mkdir()
        plant(self.tree, self.scale.share)
        self.network.start("server", f"exec $(command -v sshd || echo /usr/sbin/sshd) -D -e -f {files}/sshd_config")
        self.network.await_success("sshd", "client", f"{self.ssh} {self.host} true")

    def timed(self, script):
        begun = time.monotonic()
        said = self.network.call("client", script, patience=200)
        return said, time.monotonic() - begun

    def difference(self, copy):
        return self.network.call("client", f"diff -r --no-dereference {self.tree} {copy} && echo same",
                                 statuses=(0, 1))

    @case("a session and a command", "s")
    def session(self):
        said, taken = self.timed(
            f"for n in 1 2 3 4 5; do {self.ssh} {self.host} 'echo $((6 * 7)); exit 3'; echo $?; done")
        return Outcome(said, taken / 5)

    @case("rsync of a tree to the server", "s")
    def push(self):
        copy = self.network.file("pushed")
        _, taken = self.timed(f"rsync -a -e '{self.ssh}' {self.tree}/ {self.host}:{copy}/")
        return Outcome((self.difference(copy), self.nothing_left(copy)), taken)

    def nothing_left(self, copy):
        """What rsync would still move, by checksums."""
        return self.network.call("client", f"rsync -anic --delete -e '{self.ssh}' {self.tree}/ {self.host}:{copy}/")

    @case("rsync of a tree from the server, compressed", "s")
    def pull(self):
        copy = self.network.file("pulled")
        _, taken = self.timed(f"rsync -az -e '{self.ssh}' {self.host}:{self.tree}/ {copy}/")
        return Outcome((self.difference(copy), self.nothing_left(copy)), taken)

    @case("scp of a file each way", "s")
    def copy(self):
        files = self.network.files
        _, taken = self.timed(f"scp -q -P {PORT} {self.options} {self.tree}/large {self.host}:{files}/there && "
                              f"scp -q -P {PORT} {self.options} {self.host}:{files}/there {files}/back")
        return Outcome(self.network.call("client", f"sha256sum < {self.tree}/large; sha256sum < {files}/there; "
                                                   f"sha256sum < {files}/back"), taken)

    @case("20 sessions at once, a megabyte from each, their hashes", "s", full_only=True)
    def many(self):
        one = f"({self.ssh} {self.host} head -c 1000000 {self.tree}/large | sha256sum) &"
        said, taken = self.timed(one * 20 + " wait")
        return Outcome(sorted(said.splitlines()), taken)

    @case("a forwarded port (-L), through which sshd itself is reached")
    def forwarded(self):
        said = self.network.call("client", f"""
          {self.ssh} -N -L 127.0.0.1:2300:127.0.0.1:{PORT} {self.host} & forward=$!
          for n in $(seq 100); do nc -z 127.0.0.1 2300 && break; sleep 0.1; done
          ssh -p 2300 {self.options} root@127.0.0.1 'head -c 1000000 {self.tree}/large' | sha256sum
          kill $forward""")
        return Outcome(said)
