"""io_uring by its system calls: connect and socket without connect(2) and socket(2)."""

import ctypes, mmap, os, socket, struct, time

libc = ctypes.CDLL(None, use_errno=True)
CONNECT, SOCKET = 16, 45
PATIENCE = 0.1 * int(os.environ.get("ISTBPF_TEST_SLOWNESS", 1)) ** 0.5


def call(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "io_uring")
    return result


def submit(operation, descriptor, address=0, offset=0, length=0):
    """One request to its end; returns its result or raises its errno."""
    parameters = ctypes.create_string_buffer(120)
    ring = call(425, 4, parameters)
    words = struct.unpack("=30I", parameters)
    # struct io_uring_params: sq_off at 40, cq_off at 80.
    sq_tail, sq_array = words[11], words[16]
    cq_head, cq_tail, cqes = words[20], words[21], words[25]
    entries = mmap.mmap(ring, 4 * 64, offset=0x10000000)
    sq = mmap.mmap(ring, 4096, offset=0)
    cq = mmap.mmap(ring, 4096, offset=0x8000000)
    entries[0:64] = struct.pack("=BBHiQQIIQ", operation, 0, 0, descriptor, offset, address, length, 0, 7).ljust(64, b"\0")
    sq[sq_array:sq_array + 4] = struct.pack("=I", 0)
    sq[sq_tail:sq_tail + 4] = struct.pack("=I", 1)
    call(426, ring, 1, 0, 0, None, 0)
    # Not the ring's own way of waiting: a connect that nobody answers would take two minutes.
    end = time.monotonic() + PATIENCE
    while cq[cq_tail:cq_tail + 4] == cq[cq_head:cq_head + 4]:
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.001)
    result = struct.unpack("=i", cq[cqes + 8:cqes + 12])[0]
    os.close(ring)
    if result < 0:
        raise OSError(-result, "io_uring")
    return result


def connect(descriptor, host, port):
    # A worker of the ring that waits longer would keep the process from its end.
    with socket.socket(fileno=os.dup(descriptor)) as copy:
        copy.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("=qq", 0, 100_000))
    address = ctypes.create_string_buffer(struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8), 16)
    submit(CONNECT, descriptor, ctypes.addressof(address), 16)


def make_socket(family, kind, protocol=0):
    # fd is the family, off the type, len the protocol.
    return submit(SOCKET, family, 0, kind, protocol)
