"""The programs that are compared, one module each, by the names that a user types."""
from .cpython import CPython
from .go import Go
from .haproxy import HAProxy
from .iperf3 import Iperf3
from .kernel import Kernel
from .nginx import Nginx
from .node import Node
from .openssh import OpenSSH
from .postgresql import PostgreSQL
from .python import Python
from .redis import Redis

PROGRAMS = {
    "postgresql": PostgreSQL, "redis": Redis, "nginx": Nginx, "iperf3": Iperf3, "openssh": OpenSSH,
    "haproxy": HAProxy, "node": Node, "python": Python,
    "kernel": Kernel, "cpython": CPython, "go": Go,
}
