#!/usr/bin/env python3
"""An ordinary program at each end: Python's socketserver, with a thread for each connection, and a client.

istbpf-bench does as little as a program can. Beside programs as services are, what is between them weighs
less. Takes the commands and the order `connect SECONDS` of istbpf-bench.
"""
import json
import socket
import socketserver
import sys
import time


class Greeter(socketserver.BaseRequestHandler):
    """Answers a byte with a byte, and closes."""

    def handle(self):
        self.request.sendall(self.request.recv(1))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def serve(port):
    with Server(("", port), Greeter) as server:
        print("ready", flush=True)
        server.serve_forever()


def connect(address, port, seconds):
    """Connections a second: connect, ask for a byte, await it and the end, close."""
    count, start = 0, time.monotonic()
    while True:
        with socket.create_connection((address, port)) as connection:
            connection.sendall(b"g")
            if connection.recv(1) != b"g" or connection.recv(1):
                raise OSError("no byte, or more than one")
        count += 1
        elapsed = time.monotonic() - start
        if elapsed >= seconds:
            return {"measurement": "connect", "value": count / elapsed, "unit": "1/s", "count": count,
                    "nanoseconds": int(elapsed * 1e9)}


def measure(address, port):
    for line in sys.stdin:
        match line.split():
            case ["connect", seconds]:
                print(json.dumps(connect(address, port, float(seconds))), flush=True)
            case _:
                sys.exit(f"'{line.strip()}' is no measurement of this program's")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", port]:
            serve(int(port))
        case ["measure", address, port]:
            measure(address, int(port))
        case _:
            sys.exit("usage: ordinary_program.py serve PORT | measure ADDRESS PORT")
