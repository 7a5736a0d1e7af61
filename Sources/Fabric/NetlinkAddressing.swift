import CLibnlRoute
import Glibc
import LinuxSystem
import Model
import SystemPackage

/// Addresses, routes and neighbours. All throws `SystemError` with the kernel's errno.
extension NetlinkSocket {
  /// Gives the link `ifindex` the address `address`/32.
  func addAddress(_ address: IPv4Address, to ifindex: Int32) throws {
    let request = try NetlinkObject(rtnl_addr_alloc(), rtnl_addr_put)
    let local = try address.netlinkAddress()
    rtnl_addr_set_ifindex(request.pointer, ifindex)
    try check(rtnl_addr_set_local(request.pointer, local.pointer), "\(address)")
    try self.request("add address", "\(address)/32") { rtnl_addr_add($0, request.pointer, 0) }
  }

  /// Tells the kernel, for good, at which hardware address `address` is.
  func addNeighbour(
    _ address: IPv4Address, at hardwareAddress: HardwareAddress, on ifindex: Int32
  ) throws {
    let request = try NetlinkObject(rtnl_neigh_alloc(), rtnl_neigh_put)
    let destination = try address.netlinkAddress()
    let hardware = try hardwareAddress.netlinkAddress()
    rtnl_neigh_set_ifindex(request.pointer, ifindex)
    try check(rtnl_neigh_set_dst(request.pointer, destination.pointer), "\(address)")
    rtnl_neigh_set_lladdr(request.pointer, hardware.pointer)
    rtnl_neigh_set_state(request.pointer, NUD_PERMANENT)
    try self.request("add neighbour", "\(address)") {
      rtnl_neigh_add($0, request.pointer, NLM_F_CREATE | NLM_F_REPLACE)
    }
  }

  /// A route of table main.
  struct Route {
    var destination: IPv4Address
    var prefixLength: Int32 = 32
    var ifindex: Int32
    var type = UInt8(RTN_UNICAST)
    var scope = RT_SCOPE_LINK
    var gateway: IPv4Address?
    var source: IPv4Address?
    /// Of several routes to one destination the one with the lowest metric is taken.
    var metric: UInt32 = 0

    var name: String { "\(destination)/\(prefixLength)" }
  }

  /// Adds `route`, or puts it in the place of another to the same destination.
  func addRoute(_ route: Route) throws {
    let request = try message(of: route)
    try self.request("add route", route.name) {
      rtnl_route_add($0, request.pointer, NLM_F_CREATE | NLM_F_REPLACE)
    }
  }

  /// Removes `route`; not an error where it is not there.
  func removeRoute(_ route: Route) throws {
    let request = try message(of: route)
    do {
      try self.request("remove route", route.name) { rtnl_route_delete($0, request.pointer, 0) }
    } catch let error as SystemError where error.errno == .noSuchProcess { return }
  }

  private func message(of route: Route) throws -> NetlinkObject {
    let request = try NetlinkObject(rtnl_route_alloc(), rtnl_route_put)
    let destination = try route.destination.netlinkAddress(prefixLength: route.prefixLength)
    let name = route.name
    try check(rtnl_route_set_dst(request.pointer, destination.pointer), name)
    try check(rtnl_route_set_type(request.pointer, route.type), name)
    rtnl_route_set_table(request.pointer, UInt32(RT_TABLE_MAIN.rawValue))
    rtnl_route_set_scope(request.pointer, UInt8(route.scope.rawValue))
    rtnl_route_set_protocol(request.pointer, UInt8(RTPROT_STATIC))
    rtnl_route_set_priority(request.pointer, route.metric)
    if let source = route.source {
      let address = try source.netlinkAddress()
      try check(rtnl_route_set_pref_src(request.pointer, address.pointer), name)
    }
    let hop = rtnl_route_nh_alloc()
    rtnl_route_nh_set_ifindex(hop, route.ifindex)
    if let gateway = route.gateway {
      let address = try gateway.netlinkAddress()
      rtnl_route_nh_set_gateway(hop, address.pointer)
      rtnl_route_set_flags(request.pointer, UInt32(RTNH_F_ONLINK))
    }
    // The route owns the hop from here on.
    rtnl_route_add_nexthop(request.pointer, hop)
    return request
  }

  private func check(_ result: Int32, _ object: String) throws {
    guard result == 0 else { throw SystemError(.invalidArgument, "prepare a request for", object) }
  }
}

extension IPv4Address {
  fileprivate func netlinkAddress(prefixLength: Int32 = 32) throws -> NetlinkObject {
    let address = try NetlinkObject(
      withUnsafeBytes(of: networkOrder) { nl_addr_build(AF_INET, $0.baseAddress, $0.count) },
      nl_addr_put)
    nl_addr_set_prefixlen(address.pointer, prefixLength)
    return address
  }
}

extension HardwareAddress {
  func netlinkAddress() throws -> NetlinkObject {
    try NetlinkObject(
      bytes.withUnsafeBytes { nl_addr_build(AF_LLC, $0.baseAddress, $0.count) }, nl_addr_put)
  }
}
