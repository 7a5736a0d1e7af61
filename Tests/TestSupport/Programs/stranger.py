"""stranger.py CGROUP: attaches a BPF program to the cgroup's connect4 that lets everything pass, as others do."""
import ctypes, os, platform, struct, sys

NUMBER = {"x86_64": 321, "aarch64": 280}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command, attributes):
    buffer = ctypes.create_string_buffer(attributes, 128)
    result = libc.syscall(NUMBER, command, buffer, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# r0 = 1; exit
code = ctypes.create_string_buffer(struct.pack("<BBhi BBhi", 0xB7, 0, 0, 1, 0x95, 0, 0, 0))
license = ctypes.create_string_buffer(b"GPL")
program = bpf(5, struct.pack(
    "<IIQQIIQII16sII", 18, 2, ctypes.addressof(code), ctypes.addressof(license), 0, 0, 0, 0, 0,
    b"stranger", 0, 10))
cgroup = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
bpf(8, struct.pack("<IIII", cgroup, program, 10, 2))
