"""The program of a test's instance: does what each line of standard input says, a JSON list of a
function's name and its arguments, and answers with one line: a result, or an errno's name."""

import errno, json, os, socket, sys, threading, time

ME = f"{os.environ.get('WARP_DEPLOYMENT')}/{os.environ.get('WARP_SERVICE')}"
listeners, held, background = {}, {}, {}


def serve(server):
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=answer, args=[client], daemon=True).start()


def answer(client):
    """Says who it is, then echoes."""
    try:
        own = client.getsockname()[0].removeprefix("::ffff:")
        client.sendall(f"{ME} at {own}\n".encode())
        while data := client.recv(65536):
            client.sendall(data)
    except OSError:
        pass
    client.close()


def listen(port, host="0.0.0.0", times=1):
    """Listens with as many sockets as `times` says, by SO_REUSEPORT."""
    for _ in range(times):
        server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if times > 1:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((host, port))
        server.listen(256)
        listeners.setdefault(port, []).append(server)
        threading.Thread(target=serve, args=[server], daemon=True).start()
    return "listening"


def unlisten(port):
    """Closes one of the sockets that listen on the port; shutdown() wakes its thread."""
    server = listeners[port].pop()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    return "closed"


def dial(host, port, protocol=0, timeout=1):
    host = os.path.expandvars(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM, protocol)
    client.settimeout(timeout)
    client.connect((host, port))
    return client


def greeting(client):
    text = b""
    while not text.endswith(b"\n"):
        data = client.recv(1)
        if not data:
            raise OSError(errno.ECONNRESET, "ended")
        text += data
    return text.decode().strip()


def connect(host, port, protocol=0):
    """Who answers."""
    with dial(host, port, protocol) as client:
        return greeting(client)


def peer(host, port):
    """What getpeername() shows once connected."""
    with dial(host, port) as client:
        return client.getpeername()[0]


def tally(host, port, times):
    """How many connections each that answered had."""
    counts = {}
    for _ in range(times):
        who = connect(host, port)
        counts[who] = counts.get(who, 0) + 1
    return json.dumps(counts, sort_keys=True)


def hold(host, port):
    held[host, port] = dial(host, port, timeout=5)
    return greeting(held[host, port])


def echo(host, port):
    """One round trip on a connection that `hold` made."""
    client = held[host, port]
    client.sendall(b"ping")
    return client.recv(100).decode()


def load(host, port, times, milliseconds):
    """Requests at a steady rate in the background, each on a connection of its own, and one round
    trip each on a connection that stays."""

    def run():
        failures, start, slowest = [], time.monotonic(), 0
        stays = dial(host, port, timeout=5)
        greeting(stays)
        for number in range(times):
            time.sleep(max(0, start + number * milliseconds / 1000 - time.monotonic()))
            begin = time.monotonic()
            try:
                with dial(host, port, timeout=5) as client:
                    greeting(client)
                stays.sendall(b"ping")
                if stays.recv(100) != b"ping":
                    raise OSError("the connection that stays ended")
            except OSError as error:
                failures.append(f"request {number}: {error!r}")
            slowest = max(slowest, time.monotonic() - begin)
            background["done"] = number + 1
        background["result"] = f"{len(failures)} of {times} failed {failures[:3]}".removesuffix(" []")
        background["slowest"] = f"{slowest * 1000:.0f}"

    background["done"] = 0
    background["thread"] = threading.Thread(target=run, daemon=True)
    background["thread"].start()
    return "loading"


def requests():
    return str(background["done"])


def result():
    background["thread"].join()
    return background["result"]


def slowest():
    return background["slowest"]


def udp_connect(host, port):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((os.path.expandvars(host), port))
    return "connected"


def udp_send(host, port):
    host = os.path.expandvars(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.socket(family, socket.SOCK_DGRAM).sendto(b"x", (host, port))
    return "sent"


def make_socket(family, kind, protocol):
    socket.socket(family, kind, protocol).close()
    return "made"


def resolve(name):
    return socket.gethostbyname(name)


def variable(name):
    return os.environ.get(name, "unset")


def status(field):
    """A line of /proc/self/status."""
    for line in open("/proc/self/status"):
        if line.startswith(field + ":"):
            return " ".join(line.split()[1:])


def entries(path):
    return " ".join(sorted(os.listdir(path))) or "nothing"


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return "written"


def unix_connect(path):
    socket.socket(socket.AF_UNIX).connect(path)
    return "connected"


def main():
    print(f"{ME} is up", flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            reply = globals()[name](*arguments)
        except TimeoutError:
            reply = "timeout"
        except socket.gaierror:
            reply = "unknown name"
        except OSError as error:
            reply = errno.errorcode.get(error.errno, repr(error))
        print(reply, flush=True)


main()
