import Glibc
import SystemPackage

extension Cgroup {
  /// Kills every process in it and in the cgroups inside it with SIGKILL.
  ///
  /// They are gone a little later: see `isPopulated` and `CgroupWatch`.
  public func kill() throws {
    let file = "\(path)/cgroup.kill"
    if SmallFile.exists(file) { return try SmallFile.write("1", to: file) }
    // The hierarchy's root has no such file, nor has Linux before 5.14.
    for child in try children() { try child.kill() }
    for process in try processes() { _ = Glibc.kill(process, SIGKILL) }
  }

  /// Removes it; not an error where it is gone.
  ///
  /// The kernel says EBUSY for a moment after the last process has ended: retries for `patience`,
  /// blocking the calling thread, before it throws.
  public func remove(patience: Duration = .milliseconds(500)) throws {
    let deadline = ContinuousClock.now + patience
    while rmdir(path) != 0 {
      let code = Errno.last
      if code == .noSuchFileOrDirectory { return }
      guard code == .resourceBusy, ContinuousClock.now < deadline else {
        let hint = code == .resourceBusy ? "it has processes, or cgroups inside it" : nil
        throw SystemError(code, "remove cgroup", path, hint: hint)
      }
      usleep(1000)
    }
  }

  /// Removes it and the cgroups that a container made inside it.
  public func removeRecursively(patience: Duration = .milliseconds(500)) throws {
    for child in try children() { try child.removeRecursively(patience: patience) }
    try remove(patience: patience)
  }
}
