"""TCP proxies that encrypt the wire between two runners, one on each: HAProxy and stunnel with mutual TLS 1.3, and
spiped with a key that both have."""
import os
import pathlib
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
    at, address, directory = cluster.at, cluster.address, cluster.directory
    for n in (1, 2):
        pathlib.Path(directory, f"runner{n}.pem").write_text(
            pathlib.Path(directory, f"bench{n}.crt").read_text()
            + pathlib.Path(directory, f"bench{n}.key").read_text())
    pathlib.Path(directory, "spiped.key").write_bytes(os.urandom(32))
    pairs = {}
    for index, (name, command) in enumerate((("HAProxy", haproxy), ("stunnel", stunnel), ("spiped", spiped))):
        entry, far, service = (port + 10 * (index + 1) + offset for offset in range(3))
        for n, listen, onward in ((2, f"{address(2)}:{far}", f"127.0.0.1:{service}"),
                                  (1, f"127.0.0.1:{entry}", f"{address(2)}:{far}")):
            cluster.programs.spawn([*at(n), *command(n, listen, onward, directory)],
                                   stdout=cluster.log, stderr=cluster.log)
        # The server beyond the far proxy, the client before the near one.
        pairs[name] = ready(Pair(cluster.programs, service, "127.0.0.1", at(2), at(1), entry))
    return pairs


def ready(pair):
    """The pair, once a connection comes through."""
    for _ in range(50):
        try:
            pair.measure("connect 0.01")
            return pair
        except Failure:
            time.sleep(0.1)
            pair.start_client()
    raise Failure("what is between a server and a client did not become ready")


def haproxy(n, listen, onward, directory):
    tls = f"ssl crt {directory}/runner{n}.pem ca-file {directory}/ca.crt verify required"
    file = pathlib.Path(directory, f"haproxy{n}.cfg")
    file.write_text(HAPROXY.format(listen=listen, next=onward,
                                   bind_tls=tls if n == 2 else "", next_tls=tls if n == 1 else ""))
    return ["haproxy", "-db", "-f", str(file)]


def stunnel(n, listen, onward, directory):
    file = pathlib.Path(directory, f"stunnel{n}.conf")
    file.write_text(STUNNEL.format(client="yes" if n == 1 else "no", listen=listen, next=onward,
                                   pem=f"{directory}/runner{n}.pem", authorities=f"{directory}/ca.crt"))
    return ["stunnel", str(file)]


def spiped(n, listen, onward, directory):
    def socket(address):
        host, port = address.split(":")
        return f"[{host}]:{port}"

    return ["spiped", "-F", "-d" if n == 2 else "-e", "-s", socket(listen), "-t", socket(onward),
            "-k", f"{directory}/spiped.key", "-n", "4096"]
