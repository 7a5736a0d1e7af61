import Glibc
import LinuxSystem

/// What the calling thread puts on before it becomes an instance's first process.
struct InstanceSandbox {
  let cgroup: Cgroup
  let hostsPath: String
  /// Directories of the host that the instance sees empty: the control socket is in one.
  let hiddenDirectories: [String]

  /// Enters for good. The cgroup first, so that every socket from here on is guarded; the filter
  /// while there is still the right to load it; the capabilities last.
  func enter(as credentials: Credentials) throws {
    // What is inherited beyond standard input and outputs could be a socket of the host's, which no
    // hook would see; and the connection to the daemon must not stay open in the command.
    try CallingThread.closeOnExec(from: 3)
    try cgroup.add(getpid())
    try enterMountNamespace()
    try SocketFamilyFilter.apply()
    try CredentialDrop.apply(credentials, keeping: .containerDefault)
    resetSignals()
  }

  /// Names of services in /etc/hosts; and no way to the walls themselves: cgroupfs read-only, so that
  /// root cannot leave its cgroup, bpffs and the daemon's directories hidden.
  private func enterMountNamespace() throws {
    try Mount.unshareNamespace()
    try Mount.makeSlave("/")
    try Mount.bind(hostsPath, on: "/etc/hosts")
    try Mount.remountReadOnly("/etc/hosts")
    for entry in try MountTable.current().entries {
      switch entry.type {
      case "cgroup", "cgroup2": try Mount.remountReadOnly(entry.mountPoint)
      case "bpf": try Mount.cover(entry.mountPoint)
      default: break
      }
    }
    for directory in hiddenDirectories { try Mount.cover(directory) }
  }

  /// The runtime of this program ignores SIGPIPE and blocks signals; the command expects neither.
  private func resetSignals() {
    for number in 1..<Int32(65) { signal(number, SIG_DFL) }
    var none = sigset_t()
    sigemptyset(&none)
    pthread_sigmask(SIG_SETMASK, &none, nil)
  }
}
