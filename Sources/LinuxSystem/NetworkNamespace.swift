import CLinux
import Glibc
import SystemPackage

/// An open network namespace: it lives at least as long as this handle.
public final class NetworkNamespace: Sendable {
  /// What tells one namespace from another, whatever paths lead to it.
  public struct Identity: Hashable, Sendable {
    /// `st_dev` of the namespace file.
    public let device: UInt64
    /// `st_ino` of the namespace file: the number that `lsns` and `readlink /proc/self/ns/net` show.
    public let inode: UInt64
  }

  /// The path that it was opened by.
  public let path: String
  /// Equal for two handles on the same namespace.
  public let identity: Identity
  private let descriptor: OwnedDescriptor

  /// Opens the namespace that `path` names, such as `/run/netns/blue` or `/proc/1/ns/net`.
  ///
  /// Throws `SystemError`: ENOENT, or EINVAL where `path` is something else than a network
  /// namespace, such as the empty file that a crash left.
  public init(path: String) throws {
    let descriptor = try OwnedDescriptor(opening: path)
    guard linux_is_network_namespace(descriptor.rawValue) == 1 else {
      throw SystemError(
        .invalidArgument, "open network namespace", path, hint: "it is not a network namespace")
    }
    var status = stat()
    guard fstat(descriptor.rawValue, &status) == 0 else { throw SystemError(.last, "stat", path) }
    self.path = path
    self.identity = Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    self.descriptor = descriptor
  }

  /// Opens the network namespace of the process `process`; ENOENT where it has ended.
  public convenience init(process: pid_t) throws { try self.init(path: "/proc/\(process)/ns/net") }

  /// Opens the calling thread's network namespace.
  public static func current() throws -> NetworkNamespace {
    try NetworkNamespace(path: "/proc/thread-self/ns/net")
  }

  /// A namespace without a name: it ends with its last process, link and handle.
  public static func anonymous() throws -> NetworkNamespace {
    try DedicatedThread.run {
      try unshare()
      return try current()
    }
  }

  /// The number that BPF's helpers and SO_NETNS_COOKIE name it by, until the machine restarts.
  public func cookie() throws -> UInt64 {
    let (cookie, code) = try perform {
      var cookie: UInt64 = 0
      let code = linux_network_namespace_cookie(&cookie)
      return (cookie, code == 0 ? Errno(rawValue: 0) : Errno.last)
    }
    guard code.rawValue == 0 else {
      throw SystemError(code, "ask for the cookie of network namespace", path)
    }
    return cookie
  }

  /// The descriptor, for system calls that take a namespace; valid as long as this handle lives.
  public var fileDescriptor: Int32 { descriptor.rawValue }

  /// Runs `body` on a new thread inside this namespace, waits, and returns what it returned or threw.
  ///
  /// Sockets that `body` makes belong to this namespace for ever, wherever they are used then. See
  /// `DedicatedThread.run` for what `body` must not do.
  public func perform<Value: ~Copyable>(_ body: () throws -> Value) throws -> Value {
    try DedicatedThread.run {
      try enter()
      return try body()
    }
  }

  /// Moves the calling thread here: only for threads that end soon, see `DedicatedThread`.
  package func enter() throws {
    guard linux_enter_network_namespace(fileDescriptor) == 0 else {
      throw SystemError(.last, "enter network namespace", path)
    }
  }

  static func unshare() throws {
    guard linux_unshare_network_namespace() == 0 else {
      throw SystemError(.last, "create", "a network namespace")
    }
  }
}
