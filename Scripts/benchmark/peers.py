"""What others would encrypt the wire with: HAProxy and stunnel, mutual TLS 1.3 on both runners, and
WireGuard where the kernel has it."""
import pathlib
import shutil
import subprocess
import sys
import time

from laboratory.programs import Failure

from .pair import Pair

HAPROXY = """
global
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen relay
  bind {listen} {bind_tls}
  server next {next} {next_tls}
"""

STUNNEL = """
foreground = yes
pid =
syslog = no
debug = err
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[relay]
client = {client}
accept = {listen}
connect = {next}
cert = {pem}
CAfile = {authorities}
verifyChain = yes
sslVersionMin = TLSv1.3
"""


def start(cluster, port):
    """A pair through each of them, by name: the client's end is on runner 1."""
    programs, at, address, directory = cluster.programs, cluster.at, cluster.address, cluster.directory
    pairs = {}
    if wireguard(at, address, directory):
        pairs["WireGuard"] = Pair(programs, port + 1, wireguard_address(2), at(2), at(1))
    for n in (1, 2):
        pathlib.Path(directory, f"runner{n}.pem").write_text(
            pathlib.Path(directory, f"bench{n}.crt").read_text()
            + pathlib.Path(directory, f"bench{n}.key").read_text())
    authorities = f"{directory}/ca.crt"
    for index, (name, start_proxy) in enumerate((("HAProxy", haproxy), ("stunnel", stunnel))):
        entry, far, service = (port + 10 * (index + 1) + offset for offset in range(3))
        for n, listen, onward in ((2, f"{address(2)}:{far}", f"127.0.0.1:{service}"),
                                  (1, f"127.0.0.1:{entry}", f"{address(2)}:{far}")):
            command = start_proxy(n, listen, onward, f"{directory}/runner{n}.pem", authorities,
                                  directory)
            programs.spawn([*at(n), *command], stdout=cluster.log, stderr=cluster.log)
        pairs[name] = ready(Proxied(programs, at, entry, service))
    return pairs


class Proxied(Pair):
    """The server beyond the far proxy, the client before the near one."""

    def __init__(self, programs, at, entry, service):
        super().__init__(programs, service, "127.0.0.1", at(2), at(1), entry)


def ready(pair):
    for _ in range(50):
        try:
            pair.measure("connect 0.01")
            return pair
        except Failure:
            time.sleep(0.1)
            pair.start_client()
    raise Failure("a proxy did not become ready")


def haproxy(n, listen, onward, pem, authorities, directory):
    tls = f"ssl crt {pem} ca-file {authorities} verify required"
    file = pathlib.Path(directory, f"haproxy{n}.cfg")
    file.write_text(HAPROXY.format(listen=listen, next=onward,
                                   bind_tls=tls if n == 2 else "", next_tls=tls if n == 1 else ""))
    return ["haproxy", "-db", "-f", str(file)]


def stunnel(n, listen, onward, pem, authorities, directory):
    file = pathlib.Path(directory, f"stunnel{n}.conf")
    file.write_text(STUNNEL.format(client="yes" if n == 1 else "no", listen=listen, next=onward,
                                   pem=pem, authorities=authorities))
    return ["stunnel", str(file)]


def wireguard_address(n):
    return f"10.79.0.{n}"


def wireguard(at, address, directory):
    """A link on each runner; False where there can be none."""
    if not shutil.which("wg"):
        print("no WireGuard: Scripts/setup wireguard-tools installs what sets it up", file=sys.stderr)
        return False
    public = {}
    for n in (1, 2):
        if subprocess.run([*at(n), "ip", "link", "add", "wg", "type", "wireguard"],
                          stderr=subprocess.DEVNULL).returncode != 0:
            print("no WireGuard: the kernel has none", file=sys.stderr)
            return False
        key = subprocess.run(["wg", "genkey"], check=True, capture_output=True).stdout
        pathlib.Path(directory, f"wg{n}").write_bytes(key)
        public[n] = subprocess.run(["wg", "pubkey"], input=key, check=True,
                                   capture_output=True).stdout.decode().strip()
    for n, other in ((1, 2), (2, 1)):
        for command in (["wg", "set", "wg", "private-key", f"{directory}/wg{n}", "listen-port", "51820",
                         "peer", public[other], "endpoint", f"{address(other)}:51820",
                         "allowed-ips", f"{wireguard_address(other)}/32"],
                        ["ip", "address", "add", f"{wireguard_address(n)}/24", "dev", "wg"],
                        ["ip", "link", "set", "wg", "up"]):
            subprocess.run([*at(n), *command], check=True)
    return True
