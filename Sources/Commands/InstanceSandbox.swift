import Glibc
import LinuxSystem

/// What the calling thread, whose process is in the instance's cgroup, puts on before it becomes the
/// instance's first process.
struct InstanceSandbox {
  let hostsPath: String
  /// Directories of the host that the instance sees empty: the control socket is in one.
  let hiddenDirectories: [String]

  /// Enters for good. The filter while there is still the right to load it; the capabilities last.
  func enter(as credentials: Credentials) throws {
    // What is inherited beyond standard input and outputs could be a socket of the host's, which no
    // hook would see; and the connection to the daemon must not stay open in the command.
    try CallingThread.closeOnExec(from: 3)
    try enterMountNamespace()
    // Process ids are shared with the host: another instance's root must not be a debugger of ours.
    try ProcessDomain.enterNew()
    try SocketFamilyFilter.apply()
    try CredentialDrop.apply(credentials, keeping: .containerDefault)
    resetSignals()
  }

  /// The kernel's interfaces that are the host's, or change an instance's own network (forwarding).
  private static let readOnlyDirectories = ["/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq"]

  /// Names of services in /etc/hosts; and no way to the walls themselves: of cgroup2 only the instance's
  /// own cgroup, read-only as the kernel's other interfaces, bpffs and the daemon's directories hidden.
  ///
  /// Read-only alone would not do: clone3(2) takes any directory of cgroup2 that can be opened for
  /// reading, and puts a child there if the cgroup's files could be written but for the mount.
  private func enterMountNamespace() throws {
    try Mount.unshareNamespace()
    try Mount.makeSlave("/")
    try Mount.bind(hostsPath, on: "/etc/hosts")
    try Mount.remountReadOnly("/etc/hosts")
    try CgroupHierarchy.unshareNamespace()
    for entry in try MountTable.current().entries {
      switch entry.type {
      case "cgroup", "sysfs", "debugfs", "tracefs", "securityfs", "configfs":
        try Mount.remountReadOnly(entry.mountPoint)
      case "cgroup2":
        // A file system is not mounted right over itself.
        try Mount.cover(entry.mountPoint)
        try Mount.mountReadOnly("cgroup2", on: entry.mountPoint)
      case "bpf": try Mount.cover(entry.mountPoint)
      default: break
      }
    }
    for directory in hiddenDirectories { try Mount.cover(directory) }
    for directory in Self.readOnlyDirectories where SmallFile.exists(directory) {
      try Mount.bind(directory, on: directory)
      try Mount.remountReadOnly(directory)
    }
    try Mount.lookUpWorkingDirectory()
  }

  /// The runtime of this program ignores SIGPIPE and blocks signals; the command expects neither.
  private func resetSignals() {
    for number in 1..<Int32(65) { signal(number, SIG_DFL) }
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }
}
