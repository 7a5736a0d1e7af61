import CLibnlRoute
import Glibc
import LinuxSystem
import SystemPackage

/// A netlink socket of the network namespace in which it was made, wherever it is used.
///
/// Not Sendable: one thread uses it, as libnl wants it.
final class NetlinkSocket {
  private let socket: OpaquePointer
  /// Where the error callback leaves the kernel's errno, which libnl would fold into its own codes.
  private let kernelError: UnsafeMutablePointer<Int32>

  /// A socket of the calling thread's namespace, of NETLINK_ROUTE or another family.
  init(_ family: Int32 = NETLINK_ROUTE) throws {
    guard let socket = nl_socket_alloc() else {
      throw SystemError(.noMemory, "create", "a netlink socket")
    }
    self.socket = socket
    kernelError = .allocate(capacity: 1)
    kernelError.initialize(to: 0)
    guard nl_connect(socket, family) == 0 else {
      // The class is whole by now, so deinit frees both.
      throw SystemError(.last, "open", "a netlink socket")
    }
    nl_socket_modify_err_cb(
      socket, NL_CB_CUSTOM,
      { _, message, argument in
        let code = message?.pointee.error ?? 0
        argument?.assumingMemoryBound(to: Int32.self).pointee = -code
        return -nl_syserr2nlerr(code)
      }, kernelError)
  }

  deinit {
    nl_socket_free(socket)
    kernelError.deallocate()
  }

  /// Sends the request that `body` makes and waits for the kernel's answer; throws `SystemError`
  /// with the kernel's errno, which says that `operation` cannot be done to `object`.
  func request(_ operation: String, _ object: String, _ body: (OpaquePointer) -> Int32) throws {
    kernelError.pointee = 0
    let result = body(socket)
    guard result < 0 else { return }
    let code = kernelError.pointee != 0 ? kernelError.pointee : Self.errno(ofLibrary: -result)
    throw SystemError(Errno(rawValue: code), operation, object)
  }

  /// Sends the request that `send` makes, whose answer is many messages, and hands each to `body`;
  /// throws as `request` does.
  func receive(
    _ operation: String, _ object: String, _ body: (OpaquePointer) -> Void,
    sending send: (OpaquePointer) -> Int32
  ) throws {
    try withoutActuallyEscaping(body) { body in
      let reader = Reader(body: body)
      try request(operation, object) { socket in
        nl_socket_modify_cb(
          socket, NL_CB_VALID, NL_CB_CUSTOM,
          { message, argument in
            guard let message, let argument else { return Int32(NL_OK.rawValue) }
            Unmanaged<Reader>.fromOpaque(argument).takeUnretainedValue().body(message)
            return Int32(NL_OK.rawValue)
          }, Unmanaged.passUnretained(reader).toOpaque())
        return withExtendedLifetime(reader) {
          let sent = send(socket)
          return sent < 0 ? sent : nl_recvmsgs_default(socket)
        }
      }
    }
  }

  private final class Reader {
    let body: (OpaquePointer) -> Void
    init(body: @escaping (OpaquePointer) -> Void) { self.body = body }
  }

  /// The errno for an error that libnl found before the kernel saw the request.
  private static func errno(ofLibrary code: Int32) -> Int32 {
    switch code {
    case NLE_NOMEM: ENOMEM
    case NLE_NOATTR, NLE_RANGE, NLE_INVAL, NLE_AF_NOSUPPORT: EINVAL
    case NLE_OBJ_NOTFOUND: ENOENT
    case NLE_NODEV: ENODEV
    default: EIO
    }
  }
}

/// A libnl object that is given back exactly once: when its one owner ends.
struct NetlinkObject: ~Copyable {
  let pointer: OpaquePointer
  private let giveBack: (OpaquePointer) -> Void

  /// Takes over what a libnl function returned; ENOMEM where that is nothing.
  init(_ pointer: OpaquePointer?, _ giveBack: @escaping (OpaquePointer) -> Void) throws {
    guard let pointer else { throw SystemError(.noMemory, "allocate", "a netlink object") }
    (self.pointer, self.giveBack) = (pointer, giveBack)
  }

  deinit { giveBack(pointer) }
}
