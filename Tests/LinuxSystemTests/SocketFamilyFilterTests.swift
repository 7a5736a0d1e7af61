import Glibc
import LinuxSystem
import TestSupport
import Testing

@Suite("Socket family filter")
struct SocketFamilyFilterTests {
  /// Calls socket(2) through syscall(2), with all 64 bits of the family.
  private func socketErrno(_ family: Int, pair: Bool = false) -> Int32 {
    var descriptors: (Int32, Int32) = (-1, -1)
    let kind = Int(SOCK_DGRAM.rawValue)
    let result = withUnsafeMutablePointer(to: &descriptors) {
      pair
        ? rawSystemCall(SystemCall.socketpair, family, kind, 0, Int(bitPattern: $0))
        : rawSystemCall(SystemCall.socket, family, kind, 0, 0)
    }
    guard result >= 0 else { return errno }
    for descriptor in pair ? [descriptors.0, descriptors.1] : [Int32(result)] { close(descriptor) }
    return 0
  }

  @Test(
    "Of all families only Unix, IPv4, IPv6 and netlink are allowed, whatever the upper 32 bits are")
  func families() throws {
    try requireRoot()
    let allowed = SocketFamilyFilter.allowedFamilies
    try DedicatedThread.run {
      try SocketFamilyFilter.apply()
      for family in 0..<300 {
        let garbage = family | 0x5a5a_5a5a << 32
        for value in [family, garbage] {
          let refused = socketErrno(value) == EAFNOSUPPORT
          // IPv6 may be missing in a kernel, which says EAFNOSUPPORT too.
          if family == Int(AF_INET6) { continue }
          #expect(refused == !allowed.contains(UInt32(family)), "family \(value)")
        }
        if !allowed.contains(UInt32(family)) {
          #expect(socketErrno(garbage, pair: true) == EAFNOSUPPORT, "pair of \(family)")
        }
      }
      for bit in 5..<32 {
        #expect(socketErrno(1 << bit | Int(AF_INET)) == EAFNOSUPPORT, "bit \(bit)")
      }
      #expect(socketErrno(Int(AF_UNIX), pair: true) == 0)
      #expect(socketErrno(Int(AF_PACKET)) == EAFNOSUPPORT)
    }
    #expect(socketErrno(Int(AF_PACKET)) == 0, "the filter leaked into another thread")
  }

  @Test("io_uring fails as where the kernel has none")
  func ioUring() throws {
    try requireRoot()
    try DedicatedThread.run {
      try SocketFamilyFilter.apply()
      #expect(rawSystemCall(SystemCall.ioUringSetup, 1, 0, 0, 0) == -1)
      #expect(errno == ENOSYS)
    }
  }

  @Test("A program under the filter can make TCP sockets but neither packet nor vsock sockets")
  func child() throws {
    try requireRoot()
    let script = """
      import socket
      socket.socket(socket.AF_INET, socket.SOCK_STREAM)
      for family, kind in ((socket.AF_PACKET, socket.SOCK_RAW), (socket.AF_VSOCK, socket.SOCK_STREAM)):
        try:
          socket.socket(family, kind)
          print(family.name, 'made')
        except OSError as error:
          print(family.name, error.errno)
      print(*[l.split()[1] for l in open('/proc/self/status') if l.startswith(('NoNewPrivs', 'Seccomp:'))])
      """
    let output = try spawnUnderFilter(["python3", "-c", script])
    #expect(output == "AF_PACKET 97\nAF_VSOCK 97\n0 2\n")
  }

  #if arch(x86_64)
    @Test("A 32-bit system call makes no packet socket, and cannot hide the family in socketcall")
    func compat() throws {
      try requireRoot()
      // int $0x80 is how a 32-bit program calls the kernel; a 64-bit one may do it too.
      let script = """
        import ctypes, mmap
        code = bytes.fromhex('53 89 f8 89 f3 89 d1 31 d2 cd 80 5b c3')
        memory = mmap.mmap(-1, 4096, prot=7)
        memory.write(code)
        call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int)(
          ctypes.addressof(ctypes.c_char.from_buffer(memory)))
        print(call(359, 17, 3), call(359, 2, 1) >= 0 or 'refused', call(102, 1, 0), call(425, 1, 0))
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.syscall(0x40000000 | 41, 2, 1, 0), ctypes.get_errno())
        """
      let output = try spawnUnderFilter(["python3", "-c", script])
      // Debian's kernels and most others run 32-bit programs; without, python3 is killed here.
      #expect(output == "-97 True -38 -38\n-1 38\n")
    }
  #endif
}
