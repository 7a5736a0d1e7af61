"""Asks greeter for a greeting: its variable is a host, and any TCP port of it will do."""
import os
import socket

with socket.create_connection((os.environ["WARP_IST_greeter"], 7000)) as connection:
    print(connection.makefile().readline(), end="")
