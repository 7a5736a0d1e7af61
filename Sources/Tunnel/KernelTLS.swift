import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// Where one direction of a tunnel is encrypted.
public enum TunnelMode: Hashable, Sendable {
  /// In the kernel: bytes are spliced and never come into this process.
  case kernel
  /// In this process, by BoringSSL's ciphers.
  case userSpace
}

/// Whether this machine's kernel encrypts TLS.
public enum KernelTLS: Hashable, Sendable {
  /// It does, in both directions.
  case available
  /// It does not, for this reason.
  case unavailable(String)

  /// Tries it on a connection of its own over loopback, which loads the kernel's modules where the
  /// caller has CAP_NET_ADMIN. Each tunnel tries again and falls back by itself, so that this is
  /// for `status` and `doctor`.
  public static func probe() -> KernelTLS {
    do {
      let pair = try LoopbackPair()
      return attach(pair.client.rawValue)
    } catch {
      return .unavailable("it cannot be tried: \(error)")
    }
  }

  private static func attach(_ descriptor: Int32) -> KernelTLS {
    guard linux_tls_attach(descriptor) == 0 else {
      return .unavailable(
        Errno.last == .noSuchFileOrDirectory
          ? "the kernel has no module 'tls' (CONFIG_TLS)" : "the kernel refuses it: \(Errno.last)")
    }
    var keys = linux_tls_keys()
    keys.key_length = 16
    guard linux_tls_send_with(descriptor, &keys) == 0,
      linux_tls_receive_with(descriptor, &keys) == 0
    else {
      return .unavailable(
        Errno.last == .noSuchFileOrDirectory
          ? "the kernel has no gcm(aes) (modules gcm, ctr, ghash)"
          : "the kernel refuses the keys: \(Errno.last)")
    }
    return .available
  }

  /// Gives the kernel the key of one direction on a socket that is one of TLS (`linux_tls_attach`);
  /// whether it took it.
  static func install(
    _ keys: UnsafePointer<linux_tls_keys>, _ descriptor: Int32, isSending: Bool
  ) -> Bool {
    let result =
      isSending
      ? linux_tls_send_with(descriptor, keys) : linux_tls_receive_with(descriptor, keys)
    return result == 0
  }
}

/// Two ends of a TCP connection over the loopback of the calling thread's namespace.
private struct LoopbackPair: ~Copyable {
  let client: OwnedDescriptor
  private let server: OwnedDescriptor

  init() throws {
    func made(_ descriptor: Int32, _ operation: String) throws -> OwnedDescriptor {
      guard descriptor >= 0 else { throw SystemError(.last, operation, "a TCP socket") }
      return OwnedDescriptor(owning: descriptor)
    }
    let stream = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
    let listener = try made(socket(AF_INET, stream, 0), "create")
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let client = try made(socket(AF_INET, stream, 0), "create")
    // A firewall may drop loopback's packets: then three seconds, and not two minutes.
    var repetitions: Int32 = 1
    setsockopt(client.rawValue, Int32(IPPROTO_TCP), TCP_SYNCNT, &repetitions, 4)
    try withUnsafeMutablePointer(to: &address) { pointer in
      try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { name in
        guard bind(listener.rawValue, name, length) == 0, listen(listener.rawValue, 1) == 0,
          getsockname(listener.rawValue, name, &length) == 0,
          Glibc.connect(client.rawValue, name, length) == 0
        else { throw SystemError(.last, "connect", "to loopback") }
      }
    }
    server = try made(accept(listener.rawValue, nil, nil), "accept")
    self.client = client
  }
}
