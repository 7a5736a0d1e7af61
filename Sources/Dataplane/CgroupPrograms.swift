import CLibbpf
import Glibc

/// The programs that are attached to every instance's cgroup.
///
/// They are attached without links: such an attachment belongs to the cgroup, so it outlives the
/// daemon without a pin and ends with the cgroup without a clean-up.
struct CgroupPrograms: Sendable {
  /// One hook: what the kernel calls it, and our program for it.
  struct Hook: Sendable {
    let type: bpf_attach_type
    let name: String
    let program: String
  }

  static let hooks = [
    Hook(type: BPF_CGROUP_INET4_CONNECT, name: "connect4", program: "ist_connect4"),
    Hook(type: BPF_CGROUP_INET6_CONNECT, name: "connect6", program: "ist_connect6"),
    Hook(type: BPF_CGROUP_INET4_GETPEERNAME, name: "getpeername4", program: "ist_getpeername4"),
    Hook(type: BPF_CGROUP_INET6_GETPEERNAME, name: "getpeername6", program: "ist_getpeername6"),
    Hook(type: BPF_CGROUP_UDP4_SENDMSG, name: "sendmsg4", program: "ist_sendmsg4"),
    Hook(type: BPF_CGROUP_UDP6_SENDMSG, name: "sendmsg6", program: "ist_sendmsg6"),
    Hook(type: BPF_CGROUP_INET_SOCK_CREATE, name: "sock_create", program: "ist_sock_create"),
    Hook(type: BPF_CGROUP_SETSOCKOPT, name: "setsockopt", program: "ist_setsockopt"),
    Hook(type: BPF_CGROUP_INET_INGRESS, name: "skb/ingress", program: "ist_ingress"),
    Hook(type: BPF_CGROUP_INET_EGRESS, name: "skb/egress", program: "ist_egress"),
    Hook(type: BPF_CGROUP_SOCK_OPS, name: "sockops", program: "ist_sockops"),
  ]

  let object: BPFObject

  /// Attaches every program to the cgroup open as `cgroup`, in place of one of the same name that
  /// an earlier daemon attached: each replacement is one atomic step, without a gap.
  func attach(to cgroup: Int32, named path: String) throws(DataplaneError) {
    for hook in Self.hooks {
      let attached = try Self.programs(of: hook, on: cgroup, named: path, effective: false)
      var older: Int32 = -1
      if let ours = attached.first(where: { $0.name == Self.kernelName(hook.program) }) {
        older = bpf_prog_get_fd_by_id(ours.id)
        guard older >= 0 else { throw .failed("open", "program \(ours.id)", older) }
      }
      defer { if older >= 0 { close(older) } }

      var options = bpf_prog_attach_opts()
      options.sz = MemoryLayout<bpf_prog_attach_opts>.size
      options.flags = UInt32(BPF_F_ALLOW_MULTI)
      if older >= 0 {
        options.flags |= UInt32(BPF_F_REPLACE)
        options.replace_prog_fd = older
      }
      let result = bpf_prog_attach_opts(
        try object.program(hook.program), cgroup, hook.type, &options)
      guard result == 0 else { throw .failed("attach \(hook.name) to", path, result) }
    }
  }

  /// The hooks of which the kernel does not run this object's own program for the cgroup: those that
  /// are in effect, inherited ones included, must hold it.
  func missing(on cgroup: Int32, named path: String) throws(DataplaneError) -> [String] {
    var missing: [String] = []
    for hook in Self.hooks {
      let own = try Self.id(of: try object.program(hook.program), named: hook.program)
      let effective = try Self.programs(of: hook, on: cgroup, named: path, effective: true)
      if !effective.contains(where: { $0.id == own }) { missing.append(hook.name) }
    }
    return missing
  }

  /// The same for any daemon's programs, by their names: for whoever has not loaded them.
  static func missing(on cgroup: Int32, named path: String) throws(DataplaneError) -> [String] {
    var missing: [String] = []
    for hook in hooks {
      let effective = try programs(of: hook, on: cgroup, named: path, effective: true)
      if !effective.contains(where: { $0.name == kernelName(hook.program) }) {
        missing.append(hook.name)
      }
    }
    return missing
  }

  /// The programs attached to the cgroup itself that are none of ours, of any installation.
  static func others(
    on cgroup: Int32, named path: String
  ) throws(DataplaneError) -> [(hook: String, program: (id: UInt32, name: String))] {
    let own = Set(hooks.map { kernelName($0.program) })
    var others: [(hook: String, program: (id: UInt32, name: String))] = []
    for hook in hooks {
      for program in try programs(of: hook, on: cgroup, named: path, effective: false)
      where !own.contains(program.name) { others.append((hook.name, program)) }
    }
    return others
  }

  /// The kernel keeps 15 characters of a program's name.
  private static func kernelName(_ program: String) -> String { String(program.prefix(15)) }

  private static func programs(
    of hook: Hook, on cgroup: Int32, named path: String, effective: Bool
  ) throws(DataplaneError) -> [(id: UInt32, name: String)] {
    var ids = [UInt32](repeating: 0, count: 64)
    var count = UInt32(ids.count)
    let result = bpf_prog_query(
      cgroup, hook.type, effective ? UInt32(BPF_F_QUERY_EFFECTIVE) : 0, nil, &ids, &count)
    guard result == 0 else { throw .failed("ask for the \(hook.name) programs of", path, result) }
    return ids.prefix(Int(count)).map { ($0, programName(id: $0)) }
  }

  /// The name of a loaded program, cut at 15 characters; empty where it is gone.
  static func programName(id: UInt32) -> String {
    let descriptor = bpf_prog_get_fd_by_id(id)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    // Without a name it is taken for none of ours, and shown as missing.
    return (try? string(of: information(of: descriptor, named: "\(id)").name)) ?? ""
  }

  private static func id(of program: Int32, named name: String) throws(DataplaneError) -> UInt32 {
    try information(of: program, named: name).id
  }

  private static func information(
    of program: Int32, named name: String
  ) throws(DataplaneError) -> bpf_prog_info {
    var info = bpf_prog_info()
    var size = UInt32(MemoryLayout<bpf_prog_info>.size)
    let result = bpf_obj_get_info_by_fd(program, &info, &size)
    guard result == 0 else { throw .failed("look at", "program \(name)", result) }
    return info
  }
}

/// The text of a C array of characters that is padded with NUL.
func string<Characters>(of characters: Characters) -> String {
  withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
