import CDataplaneABI
import Model

/// An instance as the data path knows it.
public struct Identity: Hashable, Sendable {
  /// The deployment's id on this runner, 1 to 16383.
  public let deployment: UInt16
  /// The instance address.
  public let address: IPv4Address

  /// The identity of the instance with `address` in the deployment with the id `deployment`.
  public init(deployment: UInt16, address: IPv4Address) {
    self.deployment = deployment
    self.address = address
  }

  /// The ifindex of the fabric's end and of ist0: `IST_IFINDEX` in dataplane_abi.h, which is a
  /// macro and so not seen by Swift. A test holds the two together.
  public var ifindex: Int32 {
    Int32(UInt32(deployment) << UInt32(IST_OFFSET_BITS) | address.rawValue & 0x1ffff)
  }

  /// The value for the maps. `cgroup` is the id of the instance's cgroup, `namespace` the cookie of its
  /// network namespace; 0 where they are not known.
  func abi(cgroup: UInt64 = 0, namespace: UInt64 = 0) -> ist_identity {
    ist_identity(
      cgroup_id: cgroup, deployment: UInt32(deployment), address: address.rawValue,
      ifindex: UInt32(ifindex), listeners: 0, netns_cookie: namespace)
  }

  init(_ value: ist_identity) {
    deployment = UInt16(truncatingIfNeeded: value.deployment)
    address = IPv4Address(value.address)
  }
}
