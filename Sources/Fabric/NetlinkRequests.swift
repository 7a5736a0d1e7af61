import CLibnlRoute
import Glibc
import LinuxSystem
import Model
import SystemPackage

/// What the fabric asks the kernel for. All throws `SystemError` with the kernel's errno.
extension NetlinkSocket {
  /// Creates a veth pair whose fabric end is here and whose other end in `namespace`, both down.
  func addLink(_ link: InstanceLink, into namespace: NetworkNamespace) throws {
    try addPair(
      VethEnd(link.name, link.ifindex, InstanceLink.fabricHardwareAddress),
      VethEnd(InstanceLink.instanceEndName, link.ifindex, link.instanceHardwareAddress),
      into: namespace)
  }

  /// Creates a veth pair with `near` here and `far` in `namespace`, or here too, both down.
  ///
  /// The kernel could not set the far end up: opening a veth needs its peer, which comes last
  /// (ENOTCONN of veth_open).
  func addPair(_ near: VethEnd, _ far: VethEnd, into namespace: NetworkNamespace? = nil) throws {
    let pair = try NetlinkObject(rtnl_link_veth_alloc(), rtnl_link_veth_release)
    let peer = try NetlinkObject(rtnl_link_veth_get_peer(pair.pointer), rtnl_link_put)
    for (link, end) in [(pair.pointer, near), (peer.pointer, far)] {
      rtnl_link_set_name(link, end.name)
      // In the header of RTM_NEWLINK: the kernel heeds the peer's only if the first end has one.
      rtnl_link_set_ifindex(link, end.ifindex)
      rtnl_link_set_mtu(link, InstanceLink.mtu)
      let address = try end.hardwareAddress.netlinkAddress()
      rtnl_link_set_addr(link, address.pointer)
    }
    if let namespace { rtnl_link_set_ns_fd(peer.pointer, namespace.fileDescriptor) }
    try request("add link", near.name) {
      rtnl_link_add($0, pair.pointer, NLM_F_CREATE | NLM_F_EXCL)
    }
  }

  /// Sets the link `ifindex` up, and not NOARP: without ARP the kernel would ignore neighbours.
  func setUp(_ ifindex: Int32, _ name: String) throws {
    let link = try NetlinkObject(rtnl_link_alloc(), rtnl_link_put)
    let changes = try NetlinkObject(rtnl_link_alloc(), rtnl_link_put)
    rtnl_link_set_ifindex(link.pointer, ifindex)
    rtnl_link_set_flags(changes.pointer, UInt32(IFF_UP))
    try request("set up link", name) { rtnl_link_change($0, link.pointer, changes.pointer, 0) }
  }

  /// The number that the network namespace of the other end of the link `ifindex` has in this one; nil where the
  /// other end is here.
  func peerNamespaceID(of ifindex: Int32, _ name: String) throws -> Int32? {
    var link: OpaquePointer?
    try request("ask for link", name) { rtnl_link_get_kernel($0, ifindex, nil, &link) }
    defer { rtnl_link_put(link) }
    var id: Int32 = -1
    return rtnl_link_get_link_netnsid(link, &id) == 0 && id >= 0 ? id : nil
  }

  /// The alias of the link `ifindex`: a text for people; nil where it has none.
  func alias(of ifindex: Int32) throws -> String? {
    var link: OpaquePointer?
    try request("ask for link", "\(ifindex)") { rtnl_link_get_kernel($0, ifindex, nil, &link) }
    defer { rtnl_link_put(link) }
    return rtnl_link_get_ifalias(link).map { String(cString: $0) }
  }

  /// Gives the link `ifindex` an alias.
  func setAlias(_ alias: String, of ifindex: Int32, _ name: String) throws {
    let link = try NetlinkObject(rtnl_link_alloc(), rtnl_link_put)
    let changes = try NetlinkObject(rtnl_link_alloc(), rtnl_link_put)
    rtnl_link_set_ifindex(link.pointer, ifindex)
    rtnl_link_set_ifalias(changes.pointer, alias)
    try request("mark link", name) { rtnl_link_change($0, link.pointer, changes.pointer, 0) }
  }

  /// Waits until the link `ifindex`, whose other end has just been set up, really sends.
  ///
  /// A link that was set up before its other end gets its queue from a kernel worker a little after
  /// its carrier, and drops what is sent until then: the first SYN, which is repeated after a second.
  /// The worker says so by the operational state. Asking makes Linux >= 6.8 do the work at once
  /// (linkwatch_sync_dev); before, it is done within about a millisecond. ETIMEDOUT after a second.
  func awaitOperation(of ifindex: Int32, _ name: String) throws {
    let deadline = ContinuousClock.now + .seconds(1)
    while true {
      var link: OpaquePointer?
      try request("ask for the state of", name) { rtnl_link_get_kernel($0, ifindex, nil, &link) }
      let state = rtnl_link_get_operstate(link)
      rtnl_link_put(link)
      if state == operationalStateUp { return }
      guard ContinuousClock.now < deadline else {
        throw SystemError(.timedOut, "await the carrier of", name)
      }
      usleep(100)
    }
  }

  /// Deletes the link `ifindex`, or `name` where that is 0; ENODEV where there is none.
  func deleteLink(_ ifindex: Int32, _ name: String) throws {
    let link = try NetlinkObject(rtnl_link_alloc(), rtnl_link_put)
    if ifindex != 0 {
      rtnl_link_set_ifindex(link.pointer, ifindex)
    } else {
      rtnl_link_set_name(link.pointer, name)
    }
    try request("delete link", name) { rtnl_link_delete($0, link.pointer) }
  }

  /// The number of the link `name`; nil where there is none.
  func ifindex(of name: String) throws -> Int32? { try ifindex(of: 0, name, called: name) }

  /// Whether a link has the number `ifindex`.
  func hasLink(_ ifindex: Int32) throws -> Bool {
    try self.ifindex(of: ifindex, nil, called: "\(ifindex)") != nil
  }

  private func ifindex(of ifindex: Int32, _ name: String?, called text: String) throws -> Int32? {
    var link: OpaquePointer?
    do {
      try request("find link", text) { rtnl_link_get_kernel($0, ifindex, name, &link) }
    } catch let error as SystemError where error.errno == .noDevice {
      return nil
    }
    defer { rtnl_link_put(link) }
    return rtnl_link_get_ifindex(link)
  }

  /// All links but the loopback, by number.
  func links() throws -> [FabricLink] {
    var allocated: OpaquePointer?
    try request("list", "links") { rtnl_link_alloc_cache($0, AF_UNSPEC, &allocated) }
    let cache = try NetlinkObject(allocated, nl_cache_free)
    var links: [FabricLink] = []
    var next = nl_cache_get_first(cache.pointer)
    while let link = next {
      next = nl_cache_get_next(link)
      let flags = rtnl_link_get_flags(link)
      guard flags & UInt32(IFF_LOOPBACK) == 0 else { continue }
      links.append(
        FabricLink(
          name: rtnl_link_get_name(link).map { String(cString: $0) } ?? "",
          ifindex: rtnl_link_get_ifindex(link), mtu: rtnl_link_get_mtu(link),
          isUp: flags & UInt32(IFF_UP) != 0))
    }
    return links.sorted { $0.ifindex < $1.ifindex }
  }
}

/// One end of a veth pair that is to be made.
struct VethEnd {
  let name: String
  let ifindex: Int32
  let hardwareAddress: HardwareAddress

  init(_ name: String, _ ifindex: Int32, _ hardwareAddress: HardwareAddress) {
    (self.name, self.ifindex, self.hardwareAddress) = (name, ifindex, hardwareAddress)
  }
}
