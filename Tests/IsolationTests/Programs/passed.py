"""Sockets that change hands, and attempts that go on while something else happens."""

import json, os, socket, time

kept = {}


def give(path):
    """Makes a TCP and a UDP socket and hands them to whoever takes them at `path`."""
    made = [socket.socket(), socket.socket(type=socket.SOCK_DGRAM)]
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(path)
        socket.send_fds(door, [b"x"], [one.fileno() for one in made])
    return "given"


def await_gift(path):
    kept["door"] = socket.socket(socket.AF_UNIX)
    kept["door"].bind(path)
    kept["door"].listen(1)
    return "waiting"


def take():
    client, _ = kept["door"].accept()
    _, descriptors, _, _ = socket.recv_fds(client, 1, 2)
    kept["tcp"], kept["udp"] = (socket.socket(fileno=one) for one in descriptors)
    return "taken"


def use(kind, host, port):
    """Connects or sends with a socket that was taken."""
    one = kept[kind]
    one.settimeout(0.5)
    if kind == "udp":
        one.sendto(b"let me out", (host, port))
        return "done"
    one.connect((host, port))
    one.recv(1)
    return "done"


def storm(attempt, programs, port, seconds):
    """Makes attempts over and over; what each was told, and how many there were."""
    answers, count, end = {}, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for name in programs:
            answers.setdefault(name, set()).add(attempt(name, port))
            count += 1
    return json.dumps({"count": count, "answers": {name: sorted(told) for name, told in answers.items()}})


commands = {"give": give, "await_gift": await_gift, "take": take, "use": use}
