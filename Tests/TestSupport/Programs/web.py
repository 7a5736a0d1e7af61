"""`serve PORT`: a service for the front door, which answers each request with the request as it came,
byte for byte, `/seen` with the lines of all requests so far, and a WebSocket with what that says. Paths
that begin with `/close`, `/partial`, `/interim`, `/early` or `/crash` get no whole answer, `/wait/SECONDS` a
late one, and `/stream/SECONDS` one with a pause in it.
`websocket ADDRESS HOST TEXT`: says TEXT through a WebSocket and prints the answer.
`raw ADDRESS HOST`: sends the bytes of standard input through TLS and prints what comes.
`h2 ADDRESS HOST METHOD PATH [PROTOCOL]`: a request in HTTP/2, and what comes of it in one line; with
PROTOCOL the extended CONNECT of RFC 8441.
`many ADDRESS HOST TIMES`: requests, each on a connection of its own, four at a time."""

import base64, hashlib, os, socket, ssl, struct, sys, threading, time

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
seen = []
INCOMPLETE = {
    "close": b"",
    "crash": b"",
    "partial": b"HTTP/1.1 200 OK\r\nContent-Le",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n",
    "early": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
}


def head(file):
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        line = file.readline()
        if not line:
            return None
        data += line
    return data


def fields(data):
    lines = data.decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def body(file, values):
    if values.get("transfer-encoding") == "chunked":
        data = b""
        while True:
            size = file.readline()
            chunk = file.read(int(size, 16) + 2)
            data += size + chunk
            if int(size, 16) == 0:
                return data
    return file.read(int(values.get("content-length", 0)))


def read_frame(file):
    first, length = file.read(2)
    size = length & 127
    if size == 126:
        size = struct.unpack("!H", file.read(2))[0]
    mask = file.read(4) if length & 128 else bytes(4)
    return first & 15, bytes(byte ^ mask[i % 4] for i, byte in enumerate(file.read(size)))


def answer(client):
    file = client.makefile("rb")
    while request := head(file):
        values = fields(request)
        line = request.split(b"\r\n")[0]
        seen.append(line.decode())
        path = (line.split(b" ") + [b""])[1].decode("latin-1")
        kind = path.strip("/").split("/")[0]
        if kind in INCOMPLETE:
            body(file, values)
            client.sendall(INCOMPLETE[kind])
            if kind == "crash":
                os._exit(1)
            return client.shutdown(socket.SHUT_RDWR)
        if values.get("upgrade") == "websocket":
            key = base64.b64encode(hashlib.sha1((values["sec-websocket-key"] + MAGIC).encode()).digest())
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                           b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + key + b"\r\n\r\n")
            while True:
                opcode, text = read_frame(file)
                client.sendall(bytes([0x80 | opcode, len(text)]) + text)
                if opcode == 8:
                    return client.close()
        request += body(file, values)
        if kind == "wait":
            time.sleep(float(path.split("/")[2]))
        if kind == "stream":
            client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n")
            time.sleep(float(path.split("/")[2]))
            client.sendall(b"3\r\nend\r\n0\r\n\r\n")
            continue
        reply = "\n".join(seen).encode() if b" /seen " in line else request
        own = client.getsockname()[0].encode()
        client.sendall(b"HTTP/1.1 200 OK\r\nX-Instance: %s\r\nContent-Length: %d\r\n\r\n%s"
                       % (own, len(reply), reply))
    client.close()


def serve(port):
    server = socket.create_server(("0.0.0.0", int(port)), backlog=256)
    print("up", flush=True)
    while True:
        client, _ = server.accept()
        threading.Thread(target=answer, args=[client], daemon=True).start()


def connect(address, host, *protocols):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    return context.wrap_socket(socket.create_connection((address, 443), 20), server_hostname=host)


def websocket(address, host, text, path="/chat"):
    client = connect(address, host)
    key = base64.b64encode(os.urandom(16))
    client.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
                   % (path.encode(), host.encode(), key))
    file = client.makefile("rb")
    status = head(file).split(b"\r\n")[0].decode()
    if " 101 " not in status:
        return print(status)
    mask, data = os.urandom(4), text.encode()
    client.sendall(bytes([0x81, 0x80 | len(data)]) + mask
                   + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))
    print(status, "|", read_frame(file)[1].decode())


def raw(address, host):
    client = connect(address, host)
    client.sendall(sys.stdin.buffer.read())
    client.settimeout(5)
    try:
        while data := client.recv(65536):
            sys.stdout.buffer.write(data)
    except (TimeoutError, ConnectionError):
        pass


def many(address, host, times):
    failures, lock, numbers = [], threading.Lock(), iter(range(int(times)))

    def run():
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            try:
                client = connect(address, host)
                client.sendall(b"GET /%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
                               % (number, host.encode()))
                reply = b"".join(iter(lambda: client.recv(65536), b""))
                if not reply.startswith(b"HTTP/1.1 200 ") or b"GET /%d " % number not in reply:
                    failures.append(f"{number}: {reply[:60]!r}")
            except OSError as error:
                failures.append(f"{number}: {error!r}")

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{len(failures)} of {times} failed {failures[:3]}".removesuffix(" []"), flush=True)


def frame(kind, flags, stream, payload=b""):
    return struct.pack("!I", len(payload))[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def request_headers(host):
    """GET / of the host, in HPACK without its tables' dynamic part."""
    text = host.encode()
    return bytes([0x82, 0x84, 0x87, 0x01, len(text)]) + text


def literal(name, value):
    """A header in HPACK, with neither table nor Huffman's code."""
    return bytes([0, len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def h2(address, host, method, path, protocol=""):
    client = connect(address, host, "h2")
    fields = [(":method", method), (":scheme", "https"), (":path", path), (":authority", host)]
    if protocol:
        fields += [(":protocol", protocol), ("sec-websocket-version", "13")]
    has_body = method == "POST"
    ends = 0 if has_body or protocol else 1
    client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
                   + frame(1, 4 | ends, 1, b"".join(literal(*field) for field in fields))
                   + (frame(0, 1, 1, b"a=b") if has_body else b""))
    client.settimeout(120)
    file, came = client.makefile("rb"), []
    while opening := file.read(9):
        size, kind, flags, stream = *struct.unpack("!I", b"\0" + opening[:3]), *struct.unpack(
            "!BBI", opening[3:])
        data = file.read(size)
        if stream != 1:
            continue
        if kind == 1:
            # HAProxy has the statuses of HPACK's table as one byte, and others as text.
            at = data.find(b"\x03")
            known = {0x88: "200", 0x8C: "400", 0x8D: "404", 0x8E: "500"}
            came.append(known.get(data[0]) or data[at + 1:at + 4].decode())
        elif kind == 0 and data:
            came.append(data.decode().replace("\r", "").replace("\n", "|"))
        elif kind == 3:
            came.append("reset %d" % struct.unpack("!I", data))
        if kind == 3 or flags & 1 and kind in (0, 1):
            break
    print(*came, flush=True)


def abuse(address, host):
    """What HTTP/2 must survive: each on a connection of its own."""
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0)
    opened = request_headers(host)
    attacks = {
        "rapid reset": b"".join(
            frame(1, 5, n, opened) + frame(3, 0, n, bytes(4)) for n in range(1, 2001, 2)),
        "endless headers": frame(1, 0, 1, opened) + frame(9, 0, 1, b"\x00\x01a\x01b" * 50) * 2000,
        "data on no stream": frame(0, 0, 0, b"x"),
        "data on an idle stream": frame(0, 1, 99, b"x"),
        "a broken header block": frame(1, 5, 1, b"\xff" * 20),
        "an oversized frame": frame(0, 0, 1, bytes(100000)),
        "pings": frame(6, 0, 0, bytes(8)) * 5000,
        "settings": frame(4, 0, 0, struct.pack("!HI", 3, 1)) * 5000,
        "window overflow": frame(8, 0, 0, struct.pack("!I", 0x7FFFFFFF)) * 2,
        "no end": preface[:10],
    }
    for name, data in attacks.items():
        try:
            client = connect(address, host, "h2")
            client.settimeout(2)
            client.sendall((b"" if name == "no end" else preface) + data)
            client.recv(65536)
        except OSError:
            pass
    print("done", flush=True)


globals()[sys.argv[1]](*sys.argv[2:])
