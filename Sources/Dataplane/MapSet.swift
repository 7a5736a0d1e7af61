import CDataplaneABI
import CLibbpf
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
    let found = try Self.layoutVersion(in: directory)
    guard let found else { throw .nothingPinned(directory: directory) }
    guard found == UInt32(IST_ABI_VERSION) else {
      throw .otherLayout(found: found, expected: UInt32(IST_ABI_VERSION), directory: directory)
    }
    layout = try Self.open("layout", in: directory)
    cgroupIdentity = try Self.open("cgroup_identity", in: directory)
    deployments = try Self.open("deployments", in: directory)
    services = try Self.open("services", in: directory)
    egress = try Self.open("egress", in: directory)
    fabricLinks = try Self.open("fabric_links", in: directory)
    listening = try Self.open("listening", in: directory)
    listeners = try Self.open("listeners", in: directory)
    denials = try Self.open("denials", in: directory)
    flows = try Self.open("flows", in: directory)
    eventRates = try Self.open("event_rates", in: directory)
    observed = try Self.open("observed", in: directory)
  }

  deinit {
    for descriptor in [
      layout.descriptor, cgroupIdentity.descriptor, deployments.descriptor, services.descriptor,
      fabricLinks.descriptor, listening.descriptor, listeners.descriptor, denials.descriptor,
      flows.descriptor, egress.descriptor, eventRates.descriptor, observed.descriptor,
    ] { close(descriptor) }
  }

  /// The range of addresses that the programs were loaded for.
  func plan() throws(DataplaneError) -> AddressPlan? {
    let base = IPv4Address(try layout.value(at: LayoutKey.range) ?? 0)
    return AddressPlan(cidr: "\(base)/\(AddressPlan.prefixLength)")
  }

  /// The layout of what is pinned in `directory`; nil where nothing is.
  static func layoutVersion(in directory: String) throws(DataplaneError) -> UInt32? {
    let descriptor = bpf_obj_get("\(directory)/layout")
    guard descriptor >= 0 else {
      if descriptor == -ENOENT { return nil }
      throw .failed("open", "\(directory)/layout", descriptor)
    }
    defer { close(descriptor) }
    return try BPFMap<UInt32, UInt32>(name: "layout", descriptor: descriptor)
      .value(at: LayoutKey.version)
  }

  static func open<Key, Value>(
    _ name: String, in directory: String
  ) throws(DataplaneError) -> BPFMap<Key, Value> {
    let descriptor = bpf_obj_get("\(directory)/\(name)")
    guard descriptor >= 0 else { throw .failed("open", "\(directory)/\(name)", descriptor) }
    return BPFMap(name: name, descriptor: descriptor)
  }
}

/// The keys of the map `layout`.
enum LayoutKey {
  static let version: UInt32 = 0
  static let range: UInt32 = 1
}
