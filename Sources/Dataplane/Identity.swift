import CDataplaneABI
import Model

/// The numbers by which BPF programs know a network namespace.
public struct NamespaceNumbers: Hashable, Sendable {
  /// On the whole host (SO_NETNS_COOKIE); 0 where it is not known.
  public let cookie: UInt64

  /// In the network namespace of the deployment's fabric (RTM_GETNSID), 0 or more; nil where it is not known.
  public let inFabric: Int32?

  /// The numbers of one namespace.
  public init(cookie: UInt64, inFabric: Int32?) {
    (self.cookie, self.inFabric) = (cookie, inFabric)
  }

  /// Where nothing is known.
  public static let unknown = NamespaceNumbers(cookie: 0, inFabric: nil)
}

/// An instance as the data path knows it.
public struct Identity: Hashable, Sendable {
  /// The deployment's id on this runner, 1 to 16383.
  public let deployment: DeploymentID
  /// The instance address.
  public let address: IPv4Address

  /// The identity of the instance with `address` in the deployment with the id `deployment`.
  public init(deployment: DeploymentID, address: IPv4Address) {
    self.deployment = deployment
    self.address = address
  }

  /// The ifindex of the fabric's end and of ist0: `IST_IFINDEX` in dataplane_abi.h, which is a
  /// macro and so not seen by Swift. A test holds the two together.
  public var ifindex: Int32 {
    Int32(UInt32(deployment) << UInt32(IST_OFFSET_BITS) | address.rawValue & Self.offsetMask)
  }

  /// `IST_OFFSET_MASK`: the bits of an ifindex, and of an address, that are the address's place in the range.
  static let offsetMask: UInt32 = 1 << UInt32(IST_OFFSET_BITS) - 1

  /// The value for the maps. `cgroup` is the id of the instance's cgroup; 0 where it is not known.
  func abi(cgroup: UInt64 = 0, namespace: NamespaceNumbers = .unknown) -> ist_identity {
    ist_identity(
      cgroup_id: cgroup, deployment: UInt32(deployment), address: address.rawValue,
      ifindex: UInt32(ifindex), listeners: 0, netns_cookie: namespace.cookie,
      netns_id: namespace.inFabric.map { UInt32($0) + 1 } ?? 0, reserved: 0)
  }

  init(_ value: ist_identity) {
    deployment = DeploymentID(truncatingIfNeeded: value.deployment)
    address = IPv4Address(value.address)
  }
}
