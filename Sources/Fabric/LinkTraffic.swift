import CLibnlRoute
import Glibc
import LinuxSystem

/// What has passed over instances' links.
public enum LinkTraffic {
  /// The bytes that each instance of `fabric` has sent since its link was made, headers included, by the ifindex of the
  /// link's fabric end. What they received is not counted there: the switch hands it over past that end
  /// (bpf_redirect_peer). Throws `SystemError`.
  public static func sent(in fabric: NetworkNamespace) throws -> [Int32: UInt64] {
    try fabric.perform {
      let socket = try NetlinkSocket()
      var cache: OpaquePointer?
      try socket.request("list", "the links of a fabric") {
        rtnl_link_alloc_cache($0, AF_UNSPEC, &cache)
      }
      defer { nl_cache_free(cache) }
      var found: [Int32: UInt64] = [:]
      var next = nl_cache_get_first(cache)
      while let link = next {
        // What the fabric's end receives is what the instance sends.
        found[rtnl_link_get_ifindex(link)] = rtnl_link_get_stat(link, RTNL_LINK_RX_BYTES)
        next = nl_cache_get_next(link)
      }
      return found
    }
  }
}
