import CLibbpf
import Glibc

/// The fabric's switch on one link: tc ingress, held by the link itself.
struct SwitchProgram: Sendable {
  let object: BPFObject
  /// The program's name: `ist_switch`, or `ist_replay` for the link of held frames.
  var program = "ist_switch"

  /// One filter a link, always at the same place, so that a later daemon replaces it in one step.
  private static let handle: UInt32 = 1
  private static let priority: UInt32 = 1

  /// Attaches the switch to the link with this ifindex in the calling thread's network namespace,
  /// in place of an older one.
  func attach(to ifindex: Int32) throws(DataplaneError) {
    var hook = Self.hook(ifindex)
    let made = bpf_tc_hook_create(&hook)
    guard made == 0 || made == -EEXIST else {
      throw .failed("make the tc hook of", "link \(ifindex)", made)
    }
    var options = Self.options()
    options.prog_fd = try object.program(program)
    options.flags = UInt32(BPF_TC_F_REPLACE.rawValue)
    let result = bpf_tc_attach(&hook, &options)
    guard result == 0 else { throw .failed("attach the switch to", "link \(ifindex)", result) }
  }

  /// Whether the kernel has the switch on the link, in the calling thread's network namespace.
  static func isAttached(to ifindex: Int32) -> Bool {
    var hook = hook(ifindex)
    var options = options()
    guard bpf_tc_query(&hook, &options) == 0 else { return false }
    return CgroupPrograms.programName(id: options.prog_id) == "ist_switch"
  }

  private static func hook(_ ifindex: Int32) -> bpf_tc_hook {
    var hook = bpf_tc_hook()
    hook.sz = optionsSize(through: \bpf_tc_hook.parent)
    hook.ifindex = ifindex
    hook.attach_point = BPF_TC_INGRESS
    return hook
  }

  private static func options() -> bpf_tc_opts {
    var options = bpf_tc_opts()
    options.sz = optionsSize(through: \bpf_tc_opts.priority)
    options.handle = handle
    options.priority = priority
    return options
  }
}
