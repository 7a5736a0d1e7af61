import SystemPackage

/// The number of the loopback link, the first in every network namespace.
let loopback: Int32 = 1

extension Errno {
  /// ENODEV, which swift-system calls otherwise.
  static var noDevice: Errno { .operationNotSupportedByDevice }
}

/// IF_OPER_UP of linux/if.h, which Glibc's net/if.h keeps out: RFC 2863's state of a working link.
let operationalStateUp: UInt8 = 6
