"""Encrypted networks of their own between two runners: WireGuard of the kernel where that has it, wireguard-go,
which Tailscale builds on, and Nebula."""
import json
import os
import pathlib
import subprocess
import sys
import time

from laboratory.programs import Failure

from .pair import Pair
from .proxies import ready

OTHER = {1: 2, 2: 1}


def start(cluster, port):
    """A pair through each of them, by name: the client's end is on runner 1."""
    pairs = {}
    for index, (name, make) in enumerate((("WireGuard", wireguard), ("wireguard-go", wireguard_go),
                                          ("Nebula", nebula))):
        network = f"10.79.{index}"
        if make(cluster, network):
            pairs[name] = ready(Pair(cluster.programs, port + 1 + index, f"{network}.2", cluster.at(2),
                                     cluster.at(1)))
    return pairs


def wireguard(cluster, network):
    """Links of the kernel's; False where it has none."""
    for n in (1, 2):
        if subprocess.run([*cluster.at(n), "ip", "link", "add", "wg", "type", "wireguard"],
                          stderr=subprocess.DEVNULL).returncode != 0:
            print("no WireGuard: the kernel has none", file=sys.stderr)
            return False
    set_up(cluster, network, {1: "wg", 2: "wg"}, 51820)
    return True


def wireguard_go(cluster, network):
    """A process on each runner. What configures it finds it by its link's name in a directory of the host's."""
    links = {n: f"bench-wg{n}" for n in (1, 2)}
    for n, link in links.items():
        cluster.programs.spawn([*cluster.at(n), "wireguard-go", "--foreground", link], stdout=cluster.log,
                               stderr=cluster.log, env={**os.environ, "LOG_LEVEL": "error"})
        await_file(f"/var/run/wireguard/{link}.sock")
    set_up(cluster, network, links, 51821)
    return True


def set_up(cluster, network, links, port):
    """Tells two WireGuard links of each other, and gives them addresses."""
    directory, public = cluster.directory, {}
    for n in (1, 2):
        key = subprocess.run(["wg", "genkey"], check=True, capture_output=True).stdout
        pathlib.Path(directory, f"wg{port}-{n}").write_bytes(key)
        public[n] = subprocess.run(["wg", "pubkey"], input=key, check=True,
                                   capture_output=True).stdout.decode().strip()
    for n, other in OTHER.items():
        for command in (["wg", "set", links[n], "private-key", f"{directory}/wg{port}-{n}", "listen-port",
                         str(port), "peer", public[other], "endpoint", f"{cluster.address(other)}:{port}",
                         "allowed-ips", f"{network}.{other}/32"],
                        ["ip", "address", "add", f"{network}.{n}/24", "dev", links[n]],
                        ["ip", "link", "set", links[n], "up"]):
            subprocess.run([*cluster.at(n), *command], check=True)


def nebula(cluster, network):
    """A process on each runner, which knows where the other one is."""
    directory = pathlib.Path(cluster.directory, "nebula")
    directory.mkdir()
    authority = ["-ca-crt", directory / "ca.crt", "-ca-key", directory / "ca.key"]
    certify("ca", "-name", "bench", "-out-crt", directory / "ca.crt", "-out-key", directory / "ca.key")
    for n, other in OTHER.items():
        crt, key, file = (directory / f"{n}.{suffix}" for suffix in ("crt", "key", "yaml"))
        certify("sign", *authority, "-name", f"runner{n}", "-ip", f"{network}.{n}/24", "-out-crt", crt,
                "-out-key", key)
        everything = [{"port": "any", "proto": "any", "host": "any"}]
        # JSON is YAML.
        file.write_text(json.dumps({
            "pki": {"ca": f"{directory}/ca.crt", "cert": str(crt), "key": str(key)},
            "static_host_map": {f"{network}.{other}": [f"{cluster.address(other)}:4242"]},
            "lighthouse": {"am_lighthouse": False, "hosts": []},
            "listen": {"host": cluster.address(n), "port": 4242},
            "tun": {"dev": "nebula"}, "logging": {"level": "error"},
            "firewall": {"outbound": everything, "inbound": everything}}))
        cluster.programs.spawn([*cluster.at(n), "nebula", "-config", str(file)], stdout=cluster.log,
                               stderr=cluster.log)
    return True


def certify(*arguments):
    subprocess.run(["nebula-cert", *map(str, arguments)], check=True)


def await_file(path):
    for _ in range(100):
        if os.path.exists(path):
            return
        time.sleep(0.1)
    raise Failure(f"{path} did not appear")
