"""A wire that delays: by netem, or where the kernel has none by a forwarder of frames."""
import collections
import socket
import subprocess
import sys
import threading
import time

MIDDLE = "delay"


def netem(at, delay):
    """Has what leaves by runner 1's and runner 2's `wire` delayed, in seconds; False where the kernel cannot."""
    return all(subprocess.run([*at(n), "tc", "qdisc", "add", "dev", "wire", "root", "netem", "limit", "100000",
                               "delay", f"{delay * 1e6:.0f}us"], capture_output=True).returncode == 0
               for n in (1, 2))


def join(programs, namespace, at, delay):
    """Joins runner 1's and runner 2's `wire` through a namespace that delays each way, in seconds."""
    for n in (1, 2):
        subprocess.run(["ip", "link", "add", "wire", "netns", namespace(n), "type", "veth",
                        "peer", "name", f"wire{n}", "netns", namespace(MIDDLE)], check=True)
        subprocess.run(["ip", "-n", namespace(MIDDLE), "link", "set", f"wire{n}", "up"], check=True)
        # Frames as they would be on a real wire: whole checksums, no larger than the MTU.
        subprocess.run([*at(n), "ethtool", "--offload", "wire", "tx", "off", "gso", "off", "tso", "off"],
                       check=True, stdout=subprocess.DEVNULL)
    programs.spawn([*at(MIDDLE), sys.executable, __file__, "wire1", "wire2", str(delay)])


def forward(source, destination, delay):
    """Sends every frame that comes from `source` to `destination`, `delay` seconds later."""
    waiting = collections.deque()
    arrived = threading.Semaphore(0)

    def send():
        while True:
            arrived.acquire()
            due, frame = waiting.popleft()
            time.sleep(max(0, due - time.monotonic()))
            destination.send(frame)

    threading.Thread(target=send, daemon=True).start()
    while True:
        frame, (_, _, kind, *_) = source.recvfrom(65536)
        if kind != socket.PACKET_OUTGOING:
            waiting.append((time.monotonic() + delay, frame))
            arrived.release()


def main():
    every_protocol = socket.htons(3)
    sockets = []
    for name in sys.argv[1:3]:
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, every_protocol)
        link.bind((name, 0))
        sockets.append(link)
    there, back = sockets
    delay = float(sys.argv[3])
    threading.Thread(target=forward, args=(back, there, delay), daemon=True).start()
    forward(there, back, delay)


if __name__ == "__main__":
    main()
