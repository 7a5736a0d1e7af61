"""A deployment to look at: `shop` on two runners, with an app that talks to its database and is denied something."""
import contextlib
import subprocess
import sys

from laboratory.cluster import Cluster, Runners
from laboratory.programs import Failure

PORT = 3211
SERVER = f"""
import socketserver
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile: self.wfile.write(line * 400)
socketserver.ThreadingTCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(("", {PORT}), Echo) as server:
    print("ready", flush=True)
    server.serve_forever()
"""
# Connections that stay, with a line now and then, and one that comes and goes.
CLIENT = f"""
import os, socket, time
address = (os.environ["WARP_IST_db"], {PORT})
kept = [socket.create_connection(address) for _ in range(3)]
print("ready", flush=True)
while True:
    for one in kept:
        one.sendall(b"select\\n")
        one.recv(1 << 16)
    with socket.create_connection(address) as one: one.sendall(b"ping\\n"); one.recv(1 << 16)
    time.sleep(0.1)
"""
DENIED = """
import errno, socket
try:
    socket.create_connection(("192.0.2.1", 443), timeout=2)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


@contextlib.contextmanager
def open_shop(programs, log):
    """Runs it. Gives runner 1's pair of daemons and the address of `istbpf ui` there."""
    with Cluster(programs, log, "ui", "10.82.0") as cluster:
        runners = Runners(cluster, "ui", 7445)
        runners.deploy("shop", "app", f"db:{PORT}", "worker", "cache:6379")
        for n, service, program in ((2, "db", SERVER), (1, "app", CLIENT), (1, "worker", CLIENT)):
            begin(programs, runners, n, service, program)
        yield runners, serve(programs, runners)


def begin(programs, runners, n, service, program):
    # What it says when its connections are reset, as where istbpfd is ended, is nobody's business.
    instance = programs.spawn([*runners.run(n, "shop", service), sys.executable, "-c", program],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if instance.stdout.readline() != "ready\n":
        raise Failure(f"{service} did not begin")


def serve(programs, runners):
    page = programs.spawn([*runners.cluster.at(1), programs.path("istbpf"), "ui", "--installation",
                           runners.installation(1)], stdout=subprocess.PIPE)
    address = page.stdout.readline().strip()
    if not address.startswith("http://127.0.0.1:"):
        raise Failure(f"istbpf ui printed no address but '{address}'")
    return address


def try_outside(programs, runners):
    """An instance of app tries an address outside; fails where it is not denied."""
    tried = subprocess.run([*runners.run(1, "shop", "app"), sys.executable, "-c", DENIED], text=True,
                           capture_output=True, start_new_session=True)
    if tried.stdout != "EPERM\n":
        raise Failure(f"a connect outside came to '{tried.stdout.strip()}{tried.stderr.strip()}', not EPERM")
