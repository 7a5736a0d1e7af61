"""Greets whoever connects, by the address that it connects from."""
import os
import socket

with socket.create_server(("0.0.0.0", int(os.environ["WARP_PORT"]))) as server:
    while True:
        connection, caller = server.accept()
        with connection:
            connection.sendall(f"hello {caller[0]}, I am {os.environ['WARP_SERVICE']}\n".encode())
