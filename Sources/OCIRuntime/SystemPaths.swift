import Glibc

/// What of the kernel's and the host's own files a container of a service may not write to, whatever its
/// engine was told (`systempaths=unconfined`, `unmask=ALL`, a bind mount of /etc).
///
/// Root needs no capability to write to /proc/sys/kernel/core_pattern, and so to have the host run a
/// program; nor to /etc/cron.d of the host.
enum SystemPaths {
  /// As Docker, podman and containerd have them where nobody says otherwise.
  static let masked = [
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap", "/sys/firmware",
  ]
  static let readOnly = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

  /// Directories of the host with what the host itself runs or trusts.
  static let ofHost = [
    "/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr", "/root/.ssh",
    "/var/spool/cron",
  ]

  /// Adds what is missing to the lists of `linux`, and takes the right to write from mounts of sysfs and
  /// from bind mounts of the host's directories.
  static func protect(_ specification: inout JSONValue) {
    for (name, paths) in [("maskedPaths", masked), ("readonlyPaths", readOnly)] {
      let present = specification["linux"]?[name]?.elements ?? []
      let missing = paths.map { JSONValue.string($0) }.filter { !present.contains($0) }
      specification["linux"]?[name] = .array(present + missing)
    }
    let directories = ofHost.compactMap(resolved)
    specification["mounts"] = .array(
      (specification["mounts"]?.elements ?? []).map { mount in
        guard mount["type"]?.string == "sysfs" || isBind(mount, in: directories) else {
          return mount
        }
        var protected = mount
        let options = (mount["options"]?.elements ?? []).filter { $0.string != "rw" }
        let readOnly = JSONValue.string("ro")
        protected["options"] = .array(
          options.contains(readOnly) ? options : options + [readOnly])
        return protected
      })
  }

  /// Whether `mount` is a bind mount of one of `directories` or of something inside.
  private static func isBind(_ mount: JSONValue, in directories: [String]) -> Bool {
    let options = (mount["options"]?.elements ?? []).compactMap(\.string)
    guard mount["type"]?.string == "bind" || options.contains("bind") || options.contains("rbind"),
      let source = mount["source"]?.string.flatMap(resolved)
    else { return false }
    return directories.contains { source == $0 || source.hasPrefix($0 + "/") }
  }

  static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }
}
