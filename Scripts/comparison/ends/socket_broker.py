"""socket_broker.py PATH: hands a TCP socket of its own place to whoever connects to the Unix socket, one for each byte
that comes. What holds it is a program at another place, whose single process so has both ends of a connection."""
import os
import socket
import sys
import threading


def serve(connection):
    with connection:
        while connection.recv(1):
            with socket.socket() as made:
                socket.send_fds(connection, [b"s"], [made.fileno()])


with socket.socket(socket.AF_UNIX) as listener:
    unfinished = f"{sys.argv[1]}.unfinished"
    listener.bind(unfinished)
    listener.listen()
    os.rename(unfinished, sys.argv[1])  # from now on it answers
    while True:
        threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
