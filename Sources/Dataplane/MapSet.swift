import CDataplaneABI
import Glibc
import Model

/// The pinned maps, opened from bpffs: who reads or writes them needs neither the daemon nor the
/// programs. What each is for: `bpf/maps.h`.
final class MapSet: Sendable {
  let layout: BPFMap<UInt32, UInt32>
  let cgroupIdentity: BPFMap<UInt64, ist_identity>
  let deployments: BPFMap<UInt32, ist_deployment>
  let services: BPFMap<ist_service_key, ist_service>
  let egress: BPFMap<ist_egress_key, UInt64>
  let fabricLinks: BPFMap<UInt32, ist_identity>
  let listening: BPFMap<ist_service_port, ist_listening>
  let listeners: BPFMap<ist_listener_key, ist_listener>
  let denials: BPFMap<ist_denial_key, UInt64>
  let flows: BPFMap<ist_flow, ist_flow_state>
  let eventRates: BPFMap<UInt32, ist_event_rate>
  let observed: BPFMap<UInt32, UInt32>

  /// Opens the maps pinned in `directory`, once their layout is seen to be this version's.
  init(pinnedIn directory: String) throws(DataplaneError) {
    try Self.checkLayout(in: directory)
    layout = try BPFMap("layout", pinnedIn: directory)
    cgroupIdentity = try BPFMap("cgroup_identity", pinnedIn: directory)
    deployments = try BPFMap("deployments", pinnedIn: directory)
    services = try BPFMap("services", pinnedIn: directory)
    egress = try BPFMap("egress", pinnedIn: directory)
    fabricLinks = try BPFMap("fabric_links", pinnedIn: directory)
    listening = try BPFMap("listening", pinnedIn: directory)
    listeners = try BPFMap("listeners", pinnedIn: directory)
    denials = try BPFMap("denials", pinnedIn: directory)
    flows = try BPFMap("flows", pinnedIn: directory)
    eventRates = try BPFMap("event_rates", pinnedIn: directory)
    observed = try BPFMap("observed", pinnedIn: directory)
  }

  /// The range of addresses that the programs were loaded for.
  func plan() throws(DataplaneError) -> AddressPlan? { try Self.plan(in: layout) }

  /// The same of what is pinned in `directory`, which may be without a map that this version has.
  static func plan(in directory: String) throws(DataplaneError) -> AddressPlan? {
    try plan(in: BPFMap("layout", pinnedIn: directory))
  }

  private static func plan(
    in layout: BPFMap<UInt32, UInt32>
  ) throws(DataplaneError) -> AddressPlan? {
    let base = IPv4Address(try layout.value(at: LayoutKey.range) ?? 0)
    return AddressPlan(cidr: "\(base)/\(AddressPlan.prefixLength)")
  }

  /// Throws unless what is pinned in `directory` is of this version's layout.
  static func checkLayout(in directory: String) throws(DataplaneError) {
    guard let found = try layoutVersion(in: directory) else {
      throw .nothingPinned(directory: directory)
    }
    guard found == UInt32(IST_ABI_VERSION) else {
      throw .otherLayout(found: found, expected: UInt32(IST_ABI_VERSION), directory: directory)
    }
  }

  /// The layout of what is pinned in `directory`; nil where nothing is.
  static func layoutVersion(in directory: String) throws(DataplaneError) -> UInt32? {
    guard access("\(directory)/layout", F_OK) == 0 || errno != ENOENT else { return nil }
    return try BPFMap<UInt32, UInt32>("layout", pinnedIn: directory).value(at: LayoutKey.version)
  }
}

/// The keys of the map `layout`.
enum LayoutKey {
  static let version: UInt32 = 0
  static let range: UInt32 = 1
}
