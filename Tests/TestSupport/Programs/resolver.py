"""A DNS server that answers as a test says. Each line of standard input is a JSON list of a function's name and
its arguments, each is answered with one line of JSON. The first line of output is its address, of loopback; the
port is 53, UDP and TCP.

How a name is answered: `addresses` and their `ttl`, beside `alias` (a CNAME and its time to live) and `mode`:
  plain    as DNS has it; over UDP what does not fit into 512 octets is cut
  nothing  the name exists and has no address        missing  there is no such name
  failing  SERVFAIL        refused  REFUSED        silent  no answer        garbage  octets that are no answer
  late     plain, after `delay` seconds
  looping  an alias of itself        other  the answer is about another name        short  a record is cut short
"""

import errno, json, os, socket, struct, sys, threading, time

names, asked = {}, {}
lock = threading.Lock()


def encode(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def decode(query):
    labels, place = [], 12
    while query[place]:
        labels.append(query[place + 1 : place + 1 + query[place]].decode())
        place += 1 + query[place]
    kind = struct.unpack("!H", query[place + 1 : place + 3])[0]
    return ".".join(labels).lower(), kind, query[12 : place + 5]


def record(owner, kind, ttl, data):
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(data)) + data


def answer(query, over_tcp):
    name, kind, question = decode(query)
    with lock:
        asked[name] = asked.get(name, 0) + 1
        entry = dict(names.get(name, {"mode": "missing"}))
    mode = entry.get("mode", "plain")
    if mode == "silent":
        return None
    if mode == "garbage":
        return os.urandom(40)
    if mode == "late":
        time.sleep(entry["delay"])
    code = {"missing": 3, "failing": 2, "refused": 5}.get(mode, 0)
    records, owner = [], b"\xc0\x0c"
    if code == 0 and mode != "nothing" and kind == 1:
        if mode == "other":
            owner = encode("other.example")
        if mode == "looping":
            records.append(record(owner, 5, 60, owner))
        if "alias" in entry:
            target, ttl = entry["alias"]
            records.append(record(owner, 5, ttl, encode(target)))
            owner = encode(target)
        records += [
            record(owner, 1, entry.get("ttl", 60), socket.inet_aton(address)) for address in entry.get("addresses", [])
        ]
        if mode == "short":
            records[-1] = records[-1][:-2]
    body = b"".join(records)
    cut = not over_tcp and 12 + len(question) + len(body) > 512
    count = 0 if cut else len(records)
    header = query[:2] + struct.pack("!HHHHH", 0x8180 | (0x0200 if cut else 0) | code, 1, count, 0, 0)
    return header + question + (b"" if cut else body)


def serve_udp(server):
    while True:
        query, caller = server.recvfrom(4096)

        def reply(query=query, caller=caller):
            if (found := answer(query, False)) is not None:
                server.sendto(found, caller)

        with lock:
            waits = names.get(decode(query)[0], {}).get("mode") == "late"
        threading.Thread(target=reply, daemon=True).start() if waits else reply()


def serve_tcp(server):
    while True:
        client, _ = server.accept()
        threading.Thread(target=serve_stream, args=[client], daemon=True).start()


def serve_stream(client):
    with client, client.makefile("rb") as stream:
        while len(length := stream.read(2)) == 2:
            query = stream.read(struct.unpack("!H", length)[0])
            found = answer(query, True)
            if found is None:
                return
            client.sendall(struct.pack("!H", len(found)) + found)


def say(name, entry):
    with lock:
        names[name] = entry
    return "said"


def say_all(entries):
    with lock:
        names.update(entries)
    return "said"


def times(name):
    with lock:
        return asked.get(name, 0)


def total():
    with lock:
        return sum(asked.values())


while True:
    address = "127." + ".".join(str(octet) for octet in os.urandom(2)) + ".53"
    datagrams, streams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    try:
        datagrams.bind((address, 53))
        streams.bind((address, 53))
        break
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
streams.listen(64)
threading.Thread(target=serve_udp, args=[datagrams], daemon=True).start()
threading.Thread(target=serve_tcp, args=[streams], daemon=True).start()
print(address, flush=True)
for line in sys.stdin:
    function, *arguments = json.loads(line)
    print(json.dumps(globals()[function](*arguments)), flush=True)
