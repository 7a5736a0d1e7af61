import CLinux
import LinuxSystem
import Model
import SystemPackage

/// Which way the calling thread's network namespace would take to an address.
public enum RoutedAddress {
  /// The address that a packet to `address` would come from; nil where there is no route. The same address where
  /// that is one of this namespace itself. Throws `SystemError`.
  public static func source(to address: IPv4Address) throws -> IPv4Address? {
    var source: UInt32 = 0
    guard linux_routed_source(address.rawValue, &source) == 0 else {
      switch Errno.last {
      case .networkUnreachable, .noRouteToHost, .permissionDenied, .invalidArgument: return nil
      case let error: throw SystemError(error, "find the route to", "\(address)")
      }
    }
    return IPv4Address(source)
  }
}
