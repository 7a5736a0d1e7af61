"""once [ADDRESS]: one request; stay: one, and it does not end; hold: a connection that is used again and again, and says so in /tmp/held; load N FILE:
at least N requests until /tmp/stop is there, each on a connection of its own and one on a connection that was made at
the beginning, and how that went in FILE."""
import os
import pathlib
import socket
import sys
import time

SLOWNESS = int(os.environ.get("ISTBPF_TEST_SLOWNESS", "1"))


def connection(address=None):
    found = socket.create_connection((address or os.environ["WARP_IST_db"], 3211), timeout=5 * SLOWNESS)
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return found, found.makefile("rw")


def ask(file, text):
    file.write(text + "\n")
    file.flush()
    if (answer := file.readline()) != text + "\n":
        raise OSError(f"{answer!r} is no answer to {text}")


def request(address=None):
    found, file = connection(address)
    ask(file, "a")
    file.close()
    found.close()


def stay():
    request()
    while True:
        time.sleep(60)


def hold():
    _, file = connection()
    number = 0
    while True:
        number += 1
        ask(file, f"{number}")
        pathlib.Path("/tmp/held.new").write_text(f"{number}")
        os.rename("/tmp/held.new", "/tmp/held")
        time.sleep(0.02)


def load(least, path):
    _, file = connection()
    done = failed = 0
    first = ""
    while done < least or not os.path.exists("/tmp/stop"):
        for act in (request, lambda: ask(file, f"{done}")):
            try:
                act()
            except OSError as error:
                failed += 1
                first = first or f" ({error})"
        done += 1
    pathlib.Path(path).write_text(
        f"{done} requests on new connections, {done} on one from the beginning, {failed} failed{first}\n")
    while not os.path.exists("/tmp/end"):
        time.sleep(0.1)


match sys.argv[1:]:
    case ["once"]: request()
    case ["once", address]: request(address)
    case ["stay"]: stay()
    case ["hold"]: hold()
    case ["load", least, path]: load(int(least), path)
