import CLibbpf
import Foundation
import LinuxSystem
import TestSupport

/// Taking layers away from one instance, from outside and without the product's help.
struct LayerRemoval {
  /// Detaches all programs of these kinds from a cgroup.
  static func detach(_ types: [bpf_attach_type], from cgroup: String) throws {
    let directory = try OwnedDescriptor(directory: cgroup)
    for type in types {
      var ids = [UInt32](repeating: 0, count: 16)
      var count = UInt32(ids.count)
      try check(bpf_prog_query(directory.rawValue, type, 0, nil, &ids, &count), "query")
      for id in ids.prefix(Int(count)) {
        let program = bpf_prog_get_fd_by_id(id)
        try check(program, "open program \(id)")
        defer { close(program) }
        try check(bpf_prog_detach2(program, directory.rawValue, type), "detach \(id)")
      }
    }
  }

  static let hooks = [
    BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET6_CONNECT, BPF_CGROUP_UDP4_SENDMSG,
    BPF_CGROUP_UDP6_SENDMSG, BPF_CGROUP_INET_SOCK_CREATE, BPF_CGROUP_SETSOCKOPT,
  ]
  static let packets = [BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS]

  /// Puts a hub in the place of the switch on the link `link` of a fabric: what is for the fabric's own
  /// block goes to its stack, and all else to the link `victim`.
  static func replaceSwitch(of link: String, in fabric: String, by victim: String) throws {
    // Classic BPF: whether to redirect. Not IPv4 to block 0, if it is long enough to be that.
    let outsideBlock =
      "9,128 0 0 0,53 0 5 34,40 0 0 12,21 0 3 2048,32 0 0 30,84 0 0 4294967040,"
      + "21 1 0 3323068416,6 0 0 4294967295,6 0 0 0"
    let filter = ["tc", "-n", fabric, "filter"]
    for words in [
      ["del", "dev", link, "ingress"],
      [
        "add", "dev", link, "ingress", "protocol", "all", "pref", "1", "bpf", "bytecode",
        outsideBlock,
      ]
        + ["action", "mirred", "egress", "redirect", "dev", victim],
    ] {
      let result = try run(filter + words)
      guard result.status == 0 else { throw Unexpected("\(words): \(result.errors)") }
    }
  }

  private static func check(_ result: Int32, _ what: String) throws {
    guard result >= 0 else { throw Unexpected("\(what): errno \(-result)") }
  }
}
