"""HAProxy as a service of its own, before other services."""
import re

from ..case import Outcome, Program, case
from .nginx import PORT as NGINX, start_nginx, wrk
from .redis import load, serve

HTTP, TCP, REDIS_PORT = 8000, 8001, 6379

CONFIGURATION = """
global
  maxconn 4000
  stats socket {files}/stats level admin
defaults
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option splice-auto
listen http
  mode http
  bind :{http}
  option http-keep-alive
  server nginx {backend}:{nginx} check inter 500ms
listen http-closing
  mode http
  bind :{closing}
  option httpclose
  http-reuse never
  server nginx {backend}:{nginx}
listen tcp
  mode tcp
  bind :{tcp}
  server nginx {backend}:{nginx} check inter 500ms
listen redis
  mode tcp
  bind :{redis}
  server redis {backend}:{redis} check inter 500ms
"""
CLOSING = 8002


class HAProxy(Program):
    """a service of its own before nginx and Redis, by HTTP and by TCP with splice"""
    packages = ("haproxy", "nginx-light", "wrk", "curl", "redis-server", "redis-tools")
    places = {"client": 1, "proxy": 2, "server": 1}

    def start(self):
        start_nginx(self.network, "server", self.scale)
        serve(self.network, "server")
        configuration = self.network.file("haproxy.cfg")
        configuration.write_text(CONFIGURATION.format(
            files=self.network.files, backend=self.network.address("server"), nginx=NGINX, http=HTTP, tcp=TCP,
            redis=REDIS_PORT, closing=CLOSING))
        self.network.await_port("proxy", "server", NGINX)
        self.network.await_port("proxy", "server", REDIS_PORT)
        self.network.start("proxy", ["haproxy", "-db", "-f", configuration])
        self.network.await_success("HAProxy", "client", ["curl", "-sSf", "-o", "/dev/null", self.url("small", HTTP)])

    def url(self, path, port):
        return f"http://{self.network.address('proxy')}:{port}/{path}"

    def load(self, port, path, connections, *options):
        return wrk(self.network, self.url(path, port), self.scale.seconds, connections, *options)

    @case("HTTP, 50 connections that are kept", "1/s")
    def kept(self):
        return self.load(HTTP, "small", 50)

    @case("HTTP, a connection for each request on both sides, 50 at once", "1/s")
    def closed(self):
        return self.load(CLOSING, "small", 50)

    @case("TCP, 50 connections that are kept", "1/s")
    def tcp(self):
        return self.load(TCP, "small", 50)

    @case("TCP, 100 kB by splice, 50 connections", "1/s", full_only=True)
    def splice(self):
        return self.load(TCP, "middle", 50)

    @case("TCP, a GiB by splice, its hash", "MB/s")
    def large(self):
        said = self.network.call("client", f"curl -sS -w '%{{stderr}}%{{speed_download}}' {self.url('large', TCP)} "
                                 f"2>{self.network.files}/speed | sha256sum", patience=200)
        return Outcome(said, float(self.network.file("speed").read_text()) / 1e6)

    @case("TCP before Redis, 50 clients", "1/s")
    def redis(self):
        return load(self.network, "proxy", self.scale.count(200_000), "-c", "50")

    @case("its health checks: all servers up, none ever down")
    def health(self):
        said = self.network.call("proxy", f"echo 'show stat' | nc -U -N {self.network.files}/stats")
        lines = [line.split(",") for line in said.splitlines() if re.match(r"(http|tcp|redis),(nginx|redis),", line)]
        heads = said.splitlines()[0].lstrip("# ").split(",")
        return Outcome([(line[0], line[heads.index("status")], line[heads.index("chkdown")],
                         line[heads.index("econ")], line[heads.index("eresp")]) for line in lines])
