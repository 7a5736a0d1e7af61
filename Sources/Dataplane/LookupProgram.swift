import CLibbpf
import Glibc

/// The program that hides an instance's listening sockets from every interface but lo and ist0, in
/// the instance's network namespace: one is loaded for each instance (`bpf/lookup.bpf.c`).
///
/// The kernel has only links for it, which end with their last descriptor; so each has a pin, and
/// outlives the daemon by it. The attachment itself ends with the namespace.
struct LookupProgram: Sendable {
  /// On bpffs, beside the maps.
  let directory: String

  private func pin(of identity: Identity) -> String { "\(directory)/lookup-\(identity.ifindex)" }

  /// Attaches the program to the network namespace open as `namespace`.
  func attach(to namespace: Int32, of identity: Identity) throws(DataplaneError) {
    // Of an instance with this address that ended while there was no daemon.
    remove(of: identity)
    let object = try load(for: identity)
    let link = bpf_link_create(
      try object.program("ist_sk_lookup"), namespace, BPF_SK_LOOKUP, nil)
    guard link >= 0 else {
      throw .failed("attach sk_lookup to the namespace of", name(identity), link)
    }
    defer { close(link) }
    let result = bpf_obj_pin(link, pin(of: identity))
    guard result == 0 else { throw .failed("pin", pin(of: identity), result) }
  }

  /// Puts this daemon's program in the place of an earlier one's, in one step.
  func renew(of identity: Identity) throws(DataplaneError) {
    let link = bpf_obj_get(pin(of: identity))
    guard link >= 0 else { throw .failed("open", pin(of: identity), link) }
    defer { close(link) }
    let object = try load(for: identity)
    let result = bpf_link_update(link, try object.program("ist_sk_lookup"), nil)
    // ENOLINK: the namespace is gone, and the instance with it.
    guard result == 0 || result == -ENOLINK else {
      throw .failed("renew", pin(of: identity), result)
    }
  }

  /// Detaches it, if it is there.
  func remove(of identity: Identity) { unlink(pin(of: identity)) }

  /// The link keeps the program once the object is closed.
  private func load(for identity: Identity) throws(DataplaneError) -> BPFObject {
    try BPFObject(base64: lookupObjectBase64, pinnedIn: directory) {
      opened throws(DataplaneError) in
      try BPFObject.useOnly(
        ["fabric_links", "denials", "events", "event_rates", ".rodata.instance"], of: opened)
      try BPFObject.set(UInt32(identity.ifindex), in: ".rodata.instance", of: opened)
    }
  }

  private func name(_ identity: Identity) -> String { "\(identity.address)" }
}
