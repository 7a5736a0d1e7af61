"""The program of a test's instance: does what each line of standard input says, a JSON list of a
function's name and its arguments, and answers with one line: a result, or an errno's name."""

import errno, fcntl, hashlib, json, os, queue, re, socket, struct, subprocess, sys, threading, time

ME = f"{os.environ.get('WARP_DEPLOYMENT')}/{os.environ.get('WARP_SERVICE')}"
listeners, held, background = {}, {}, {}
arrived, ended, broken, apart = [], [], [], []
# How many times slower than usual this machine is, as Scripts/vm-test says.
SLOWNESS = int(os.environ.get("ISTBPF_TEST_SLOWNESS", "1"))


def serve(server):
    while True:
        try:
            client, caller = server.accept()
        except OSError:
            return
        arrived.append(caller[0])
        threading.Thread(target=answer, args=[client], daemon=True).start()


def answer(client):
    """Says who it is, then echoes, or says its congestion control."""
    own, port = client.getsockname()[:2]
    own = own.removeprefix("::ffff:")
    try:
        client.sendall(f"{ME} at {own}\n".encode())
        while data := client.recv(65536):
            if data == b"congestion control?":
                data = control_of(client).encode()
            elif data == b"who am I?":
                data = str(client.getpeername()[1]).encode()
            client.sendall(data)
    except OSError as error:
        broken.append((port, errno.errorcode[error.errno]))
    client.close()
    ended.append(port)


def listen(port, host="0.0.0.0", times=1, only6=False):
    """Listens with as many sockets as `times` says, by SO_REUSEPORT; for IPv6 alone if `only6`."""
    for _ in range(times):
        server = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if times > 1:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if ":" in host:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
        server.bind((host, port))
        server.listen(256)
        listeners.setdefault(port, []).append(server)
        threading.Thread(target=serve, args=[server], daemon=True).start()
    return "listening"


def listen_apart(port):
    """Listens in a new network namespace, which takes a new user namespace, and so a new process."""
    code = (
        "import socket\n"
        f"server = socket.create_server(('0.0.0.0', {port}))\n"
        "print('listening', flush=True)\n"
        "server.accept()\n"
    )
    command = ["unshare", "--user", "--net", "/usr/bin/python3", "-c", code]
    apart.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    return apart[-1].stdout.readline().strip()


def unlisten(port):
    """Closes one of the sockets that listen on the port; shutdown() wakes its thread."""
    server = listeners[port].pop()
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    return "closed"


def dial(host, port, protocol=0, timeout=5):
    host = os.path.expandvars(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    client = socket.socket(family, socket.SOCK_STREAM, protocol)
    client.settimeout(timeout * SLOWNESS)
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


def wait(host, port):
    """As `connect`, for as long as another runner may take to be given up."""
    with dial(host, port, timeout=30) as client:
        return greeting(client)


def congestion_control(host, port):
    """Which one a connection has, here and where it was accepted."""
    with dial(host, port) as client:
        who = greeting(client)
        client.sendall(b"congestion control?")
        there = client.recv(100).decode()
        return f"{control_of(client)} here, {there} at {who}"


def control_of(connection):
    name = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
    return name.rstrip(b"\0").decode()


def burst(host, port, times):
    """Connects at once, from a thread each, and holds them; how each ended, and how many were greeted."""
    host, ends, clients, lock = os.path.expandvars(host), {}, [], threading.Lock()

    def one():
        client = socket.socket()
        client.settimeout(60)
        code = client.connect_ex((host, port))
        end = errno.errorcode.get(code, "connected")
        if not code and not greeting(client):
            end = "silent"
        with lock:
            clients.append(client)
            ends[end] = ends.get(end, 0) + 1

    threads = [threading.Thread(target=one, daemon=True) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return json.dumps(ends)


def give_up(host, port, times):
    """Begins so many connects, and closes each socket before it can be connected."""
    for _ in range(times):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex((os.path.expandvars(host), port))
        client.close()
    return "given up"


def source_port(host, port):
    """The port that a connection comes from, as both its ends see it."""
    with dial(host, port) as client:
        greeting(client)
        client.sendall(b"who am I?")
        return f"{client.getsockname()[1]} here, {client.recv(100).decode()} there"


def last_caller():
    """The address that the last connection came from."""
    return arrived[-1]


def callers():
    """The addresses that connections came from."""
    return " ".join(sorted(set(arrived)))


def count_callers():
    """How many connections there were."""
    return str(len(arrived))


def count_ended():
    """How many of them have ended, whatever the way."""
    return str(len(ended))


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


def drop(host, port):
    """Closes a connection that `hold` made."""
    held.pop((host, port)).close()
    return "closed"


def ending(host, port, seconds):
    """How a connection that `hold` made ends, within so many seconds: EOF, or the errno's name."""
    held[host, port].settimeout(seconds)
    return "data" if held[host, port].recv(1) else "EOF"


def transfer(host, port):
    """Sends without end on a connection of its own, and reads what comes back; `transferred` says how it ends."""
    client = dial(host, port, timeout=60)
    greeting(client)
    ends = held["transfer", host, port] = queue.Queue()

    def write():
        try:
            while True:
                client.sendall(bytes(65536))
        except OSError as error:
            ends.put(errno.errorcode[error.errno])

    def read():
        try:
            while client.recv(65536):
                pass
            ends.put("EOF")
        except OSError as error:
            ends.put(errno.errorcode[error.errno])

    for act in (write, read):
        threading.Thread(target=act, daemon=True).start()
    return "transferring"


def transferred(host, port, seconds):
    """How one that `transfer` began has ended, within so many seconds, for who wrote and for who read: one of them
    is told why, and the other one EPIPE, or EOF."""
    return " ".join(sorted(held["transfer", host, port].get(timeout=seconds) for _ in range(2)))


def served(port, seconds):
    """How connections to a port broke, other than by EOF: waits for one so many seconds."""
    deadline = time.monotonic() + seconds
    while not (here := [name for at, name in broken if at == port]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return " ".join(here) or "timeout"


def pour(port, size):
    """Accepts one connection, writes to it without waiting for its reader, and ends with this program:
    says how much the kernel took."""
    server = socket.create_server(("0.0.0.0", port))
    print("pouring", flush=True)
    client, _ = server.accept()
    client.setblocking(False)
    sent = 0
    try:
        while sent < size:
            sent += client.send(bytes(min(65536, size - sent)))
    except BlockingIOError:
        pass
    print(sent, flush=True)
    os._exit(0)


def drink(host, port):
    """Reads all of a connection through a small window: how much it was, or the errno's name."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((os.path.expandvars(host), port))
    got = 0
    while data := client.recv(4096):
        got += len(data)
    return str(got)


def held_peer(host, port):
    """What getpeername() shows on a connection that `hold` made."""
    return held[host, port].getpeername()[0]


def attempts(host, port, milliseconds):
    """Connects again and again in the background, until `attempted`."""

    def run():
        while not background["enough"].wait(milliseconds / 1000):
            outcome = connect(host, port)
            background["count"] += 1
            if " at " not in outcome:
                background["failed"].append(outcome)

    background.update(enough=threading.Event(), count=0, failed=[], thread=threading.Thread(target=run, daemon=True))
    background["thread"].start()
    return "attempting"


def attempted():
    """How many of those connects failed, and how; that there were any is sure."""
    background["enough"].set()
    background["thread"].join()
    return f"{len(background['failed'])} failed {background['failed'][:3]}".removesuffix(" []") if background["count"] else "none"


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


def exchange_always(host, port, count):
    """Sends on so many connections in the background what comes back on each, 16 KiB each 20 ms, until `exchanged`."""
    enough, results = threading.Event(), []
    block = os.urandom(1 << 20)

    def run(number):
        client = dial(host, port, timeout=30)
        greeting(client)
        sent, got, longest = hashlib.sha256(), hashlib.sha256(), 0
        left, last = 0, time.monotonic()
        try:
            step = 0
            while not enough.is_set():
                offset = (number * 7919 + step * 16384) % (len(block) - 16384)
                piece, step = block[offset : offset + 16384], step + 1
                sent.update(piece)
                begin = time.monotonic()
                client.sendall(piece)
                left += len(piece)
                while left:
                    data = client.recv(65536)
                    if not data:
                        raise OSError("it has ended")
                    got.update(data)
                    left -= len(data)
                longest = max(longest, time.monotonic() - begin)
                time.sleep(max(0, 0.02 - (time.monotonic() - begin)))
            failure = None if sent.digest() == got.digest() else "other bytes came back"
        except OSError as error:
            failure = repr(error)
        client.close()
        results.append((failure, longest * 1000))

    threads = [threading.Thread(target=run, args=[number], daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    background.update(exchanges=threads, enough_exchanged=enough, exchanged=results)
    return "exchanging"


def exchanged():
    """How many of those connections failed, and how."""
    background["enough_exchanged"].set()
    for thread in background["exchanges"]:
        thread.join()
    failures = [failure for failure, _ in background["exchanged"] if failure]
    return f"{len(failures)} of {len(background['exchanged'])} failed {failures[:3]}".removesuffix(" []")


def longest_exchange():
    """How long the longest exchange on each of these connections took: the median, and the most, in milliseconds."""
    times = sorted(longest for _, longest in background["exchanged"])
    return f"{times[len(times) // 2]:.0f} in the median, {times[-1]:.0f} at the most"


def flood(host, port, times):
    """Connects that are over at once; how many came to each end."""
    ends = {}
    for _ in range(times):
        client = socket.socket()
        end = errno.errorcode.get(client.connect_ex((os.path.expandvars(host), port)), "connected")
        client.close()
        ends[end] = ends.get(end, 0) + 1
    return json.dumps(ends)


def exchange(host, port, sent, received, ends_first=True):
    """Sends so many bytes and receives so many, and ends the connection first or last."""
    with dial(host, port, timeout=10) as client:
        client.sendall(b"x" * sent)
        if ends_first:
            client.shutdown(socket.SHUT_WR)
        while received > 0:
            received -= len(client.recv(65536))
        if not ends_first:
            client.settimeout(10)
            client.recv(1)
    return "exchanged"


def udp_connect(host, port):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((os.path.expandvars(host), port))
    return "connected"


def udp_send(host, port):
    host = os.path.expandvars(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socket.socket(family, socket.SOCK_DGRAM).sendto(b"x", (host, port))
    return "sent"


def own_address(link="eth0"):
    """The IPv4 address of a link: SIOCGIFADDR (netdevice(7))."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    answer = fcntl.ioctl(probe.fileno(), 0x8915, struct.pack("256s", link.encode()))
    return socket.inet_ntoa(answer[20:24])


def make_socket(family, kind, protocol):
    socket.socket(family, kind, protocol).close()
    return "made"


def resolve(name):
    return socket.gethostbyname(name)


def read_hosts(always):
    """Reads /etc/hosts again and again in the background, as programs do that read it piece by piece, and notes
    what is no line of such a file, and when one of the names `always` is missing."""
    pattern = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]+)(\s+[\w.-]+)+\s*")

    def run():
        while not background["enough"]:
            size = (512, 4096, 7, 64)[background["reads"] % 4]
            parts = []
            with open("/etc/hosts", "rb", buffering=0) as file:
                while part := file.read(size):
                    parts.append(part)
            lines = b"".join(parts).decode().split("\n")
            lines = [line.split("#")[0] for line in lines]
            pairs = {tuple(line.split()[:2]) for line in lines if line.strip()}
            background["torn"] += [line for line in lines if line.strip() and not pattern.fullmatch(line)][:3]
            background["missing"] += [name for name in always if not any(name == pair[1] for pair in pairs)][:3]
            background["pairs"] |= pairs
            background["reads"] += 1

    background.update(reads=0, enough=False, torn=[], missing=[], pairs=set())
    background["reader"] = threading.Thread(target=run, daemon=True)
    background["reader"].start()
    return "reading"


def hosts_read():
    """What `read_hosts` found, which ends: how often it read, what was torn or missing, and every address and name."""
    background["enough"] = True
    background["reader"].join()
    return json.dumps(
        {
            "reads": background["reads"],
            "torn": background["torn"],
            "missing": background["missing"],
            "pairs": sorted(" ".join(pair) for pair in background["pairs"]),
        }
    )


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
