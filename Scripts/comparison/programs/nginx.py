"""nginx and wrk."""
import re

from ..case import Outcome, Program, case, check

PORT = 8080
# A port for each way of sending a file.
SENDFILE, AIO, COPYING = PORT, PORT + 1, PORT + 2

CONFIGURATION = """
daemon off;
worker_processes 2;
worker_rlimit_nofile 8192;
pid {files}/nginx.pid;
error_log {files}/nginx-errors.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {files}/body;
  proxy_temp_path {files}/proxy;
  fastcgi_temp_path {files}/fastcgi;
  uwsgi_temp_path {files}/uwsgi;
  scgi_temp_path {files}/scgi;
  client_max_body_size 2g;
  keepalive_requests 1000000;
  root {files}/www;
  server {{ listen {sendfile} backlog=1024; sendfile on; tcp_nopush on; }}
  server {{ listen {aio} backlog=1024; aio threads; directio 1m; output_buffers 2 256k; }}
  server {{ listen {copying} backlog=1024; sendfile off; }}
}}
"""


def start_nginx(network, service, scale):
    """With a file of a kilobyte, of 100 kB, and of a GiB or less."""
    configuration = network.file("nginx.conf")
    configuration.write_text(CONFIGURATION.format(
        files=network.files, sendfile=SENDFILE, aio=AIO, copying=COPYING))
    files = network.file("www")
    files.mkdir()
    for name, size in (("small", 1000), ("middle", 100_000), ("large", scale.count(1 << 30))):
        network.call(service, f"openssl enc -aes-128-ctr -nosalt -pass pass:x -pbkdf2 -in /dev/zero 2>/dev/null"
                     f" | head -c {size} > {files}/{name}", statuses=(0, 1, 141))
    network.start(service, ["nginx", "-c", configuration, "-e", network.file("nginx-errors.log")])


def wrk(network, url, seconds, connections, *options):
    """Requests per second, and that none failed."""
    said = network.call("client", ["wrk", "-t", "2", "-c", connections, "-d", f"{seconds}s", "--timeout", "20s",
                                   *options, url])
    errors = re.findall(r"(Socket errors:.*|Non-2xx.*)", said)
    check(not errors, f"wrk {' '.join(options)} -c {connections} {url}: {'; '.join(errors)}")
    return Outcome(errors, float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1]))


class Nginx(Program):
    """wrk, with connections kept and closed, and large files by sendfile, by threads and by copying"""
    packages = ("nginx-light", "wrk", "curl")

    def start(self):
        start_nginx(self.network, "server", self.scale)
        self.network.await_port("client", "server", PORT)

    def url(self, path, port=PORT):
        return f"http://{self.network.address('server')}:{port}/{path}"

    def load(self, path, connections, *options):
        return wrk(self.network, self.url(path), self.scale.seconds, connections, *options)

    @case("50 connections that are kept", "1/s")
    def kept(self):
        return self.load("small", 50)

    @case("200 connections that are kept", "1/s", full_only=True)
    def kept_many(self):
        return self.load("small", 200)

    @case("50 connections, 100 kB by sendfile", "1/s")
    def middle(self):
        return self.load("middle", 50)

    @case("Connection: close, 1 at a time", "1/s", full_only=True)
    def closed_one(self):
        return self.load("small", 1, "-t", "1", "-H", "Connection: close")

    @case("Connection: close, 50 at once", "1/s")
    def closed(self):
        return self.load("small", 50, "-H", "Connection: close")

    @case("Connection: close, 200 at once", "1/s")
    def closed_many(self):
        return self.load("small", 200, "-H", "Connection: close")

    def download(self, port):
        said = self.network.call("client", f"curl -sS -w '%{{stderr}}%{{speed_download}}' "
                                 f"{self.url('large', port)} 2>{self.network.files}/speed | sha256sum", patience=200)
        return Outcome(said, float(self.network.file("speed").read_text()) / 1e6)

    @case("a GiB by sendfile, its hash", "MB/s")
    def sendfile(self):
        return self.download(SENDFILE)

    @case("a GiB by threads and direct I/O, its hash", "MB/s")
    def threads(self):
        return self.download(AIO)

    @case("a GiB by read and write, its hash", "MB/s", full_only=True)
    def copying(self):
        return self.download(COPYING)

    @case("20 pieces of a file at once (ranges), their hashes")
    def ranges(self):
        size = self.network.file("www/middle").stat().st_size // 20
        pieces = [f"(curl -sS -r {n * size}-{(n + 1) * size - 1} {self.url('middle')} | sha256sum) &"
                  for n in range(20)]
        return Outcome(sorted(self.network.call("client", " ".join(pieces) + " wait").splitlines()))
