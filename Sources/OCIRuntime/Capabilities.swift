/// The capabilities that a container of a service, and what is executed in one, may have.
///
/// With others its root could make sockets that no hook sees, change its links, leave its cgroup and
/// namespaces, load a kernel, or set the clock by which certificates are judged. The list says what may be
/// there, so that a capability of a later kernel is dropped until it was thought about.
enum Capabilities {
  static let kept: Set<String> = [
    // of every container
    "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
    "CAP_SYS_CHROOT",
    // that somebody may add: they are about its own processes, files and memory
    "CAP_BLOCK_SUSPEND", "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_LEASE", "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BROADCAST", "CAP_SYS_NICE", "CAP_SYS_PACCT", "CAP_SYS_RESOURCE", "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
  ]

  private static let sets = ["bounding", "effective", "inheritable", "permitted", "ambient"]

  /// Takes others than `allowed` from `process`, an OCI process.
  static func limit(_ process: inout JSONValue, to allowed: Set<String> = kept) {
    for set in sets {
      guard let capabilities = process["capabilities"]?[set]?.elements else { continue }
      process["capabilities"]?[set] = .array(
        capabilities.filter { allowed.contains($0.string?.uppercased() ?? "") })
    }
  }
}
