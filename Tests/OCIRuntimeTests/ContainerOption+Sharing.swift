import LinuxSystem

extension ContainerOption {
  static let namespaces: [ContainerOption] = [
    ofHost("the host's processes", .refused("share the host's processes"), "pid"),
    ContainerOption(
      .namespaces, "the host's processes, by a path", .refused("share the host's processes"),
      podman: { ["--pid", "ns:\($0.hostNamespaces)/pid"] },
      containerd: { ["--with-ns", "pid:\($0.directory)/link-to-pid"] }),
    joining(
      "processes of a container of no service", .refused("no instance of the same service"), "pid"
    ) { $0.plain },
    joining(
      "processes of an instance of the same service",
      .harmless("all who are in it have the same rules"), "pid"
    ) { $0.twin },
    joining(
      "processes of an instance of another deployment",
      .refused("no instance of the same service"), "pid"
    ) { $0.far },
    ofHost("the host's System V memory and message queues", .refused("System V memory"), "ipc"),
    joining(
      "System V memory of a container of no service",
      .harmless(
        "as a shared volume: memory, which carries no socket, and a partner that the user chose"),
      "ipc"
    ) { $0.plain },
    joining(
      "System V memory of an instance of another deployment", .refused("of another deployment"),
      "ipc"
    ) { $0.far },
    ofHost("the host's name", .harmless("setting it takes SYS_ADMIN, which it has not"), "uts"),
    ContainerOption(
      .namespaces, "the name of a container of no service",
      .harmless("setting it takes SYS_ADMIN, which it has not"),
      podman: { ["--uts", "container:\($0.plain.id)"] },
      containerd: { ["--with-ns", "uts:/proc/\($0.plain.process)/ns/uts"] }),
    ContainerOption(
      .namespaces, "the host's cgroup namespace, or none said",
      .harmless("the wrapper gives the container its own"),
      podman: { _ in ["--cgroupns", "host"] },
      docker: { _ in ["--cgroupns", "host"] }, containerd: { _ in [] }),
    ContainerOption(
      .namespaces, "another's cgroup namespace", .refused("another's cgroup namespace"),
      podman: { ["--cgroupns", "container:\($0.plain.id)"] },
      containerd: { ["--with-ns", "cgroup:/proc/\($0.plain.process)/ns/cgroup"] }),
    ContainerOption(
      .namespaces, "the host's network", .refused("the host's"), "--network", "host",
      containerd: ["--net-host"]),
    ContainerOption(
      .namespaces, "the host's network, by a path", .refused("it is the host's own"),
      containerd: { ["--with-ns", "network:\($0.hostNamespaces)/net"] }),
    joining(
      "network of a container of no service, as in a pod",
      .harmless(
        "neither reaches the other over loopback, and the fabric takes the instance's sockets only"),
      "network"
    ) { $0.plain },
    joining("network of an instance", .refused("has an ist0 already"), "network") { $0.twin },
    ContainerOption(
      .namespaces, "network of a fabric", .refused("it is the fabric"),
      podman: { ["--network", "ns:\($0.fabric)"] },
      containerd: { ["--with-ns", "network:\($0.fabric)"] }),
    ContainerOption(
      .namespaces, "a user namespace of its own", .harmless("its root has fewer rights"),
      // ctr does not ask the runtime that it is told of, where it has --uidmap.
      podman: { _ in ["--uidmap", "0:100000:65536"] }),
    ContainerOption(
      .namespaces, "the user namespace of a container of no service",
      .harmless("neither sees the other's processes, and its root has fewer rights"),
      podman: { ["--userns", "container:\($0.remapped)"] }),
    ContainerOption(
      .namespaces, "the host's user namespace",
      .harmless("the rule: what root may is bounded anyway"),
      "--userns", "host", containerd: []),
  ]

  private static func ofHost(
    _ title: String, _ decision: Decision, _ kind: String
  ) -> ContainerOption {
    ContainerOption(
      .namespaces, title, decision, podman: { _ in ["--\(kind)", "host"] },
      docker: { _ in ["--\(kind)", "host"] },
      containerd: { ["--with-ns", "\(kind):\($0.hostNamespaces)/\(kind)"] })
  }

  private static func joining(
    _ title: String, _ decision: Decision, _ kind: String,
    _ whose: @escaping @Sendable (OptionStage) -> OptionStage.Neighbour
  ) -> ContainerOption {
    let words: Words = { ["--\(kind)", "container:\(whose($0).id)"] }
    let file = kind == "network" ? "net" : kind
    return ContainerOption(
      .namespaces, title, decision, podman: words, docker: words,
      containerd: { ["--with-ns", "\(kind):/proc/\(whose($0).process)/ns/\(file)"] })
  }

  static let mounts: [ContainerOption] = [
    .mount("cgroup2", .refused("cgroups that are not its own")) { $0.cgroups },
    .mount("cgroup2, read-only", .refused("cgroups that are not its own"), readOnly: true) {
      $0.cgroups
    },
    .mount("another's cgroup", .refused("cgroups that are not its own")) { $0.twinCgroup },
    .mount("/sys", .refused("run it without that mount")) { _ in "/sys" },
    .mount("/sys, read-only", .refused("run it without that mount"), readOnly: true) { _ in "/sys"
    },
    .mount("a part of /sys", .refused("the kernel's /sys, writable")) { _ in "/sys/kernel" },
    .mount(
      "a part of /sys, read-only", .harmless("it tells of the machine, and changes nothing"),
      readOnly: true
    ) { _ in "/sys/devices/system" },
    .mount("bpffs", .refused("the kernel's bpf")) { _ in "/sys/fs/bpf" },
    .mount("/proc", .refused("another /proc than its own")) { _ in "/proc" },
    .mount("/proc, read-only", .refused("another /proc than its own"), readOnly: true) { _ in
      "/proc"
    },
    .mount("a file of /proc", .refused("another /proc than its own")) { _ in
      "/proc/sys/kernel/core_pattern"
    },
    .mount("a namespace", .refused("run it without that mount")) { $0.fabric },
    .mount("/run", .refused("run it without that mount")) { _ in "/run" },
    .mount("the daemon's run directory", .refused("run it without that mount")) { $0.runDirectory },
    .mount("the daemon's control socket", .refused("run it without that mount")) {
      $0.runDirectory + "/control.sock"
    },
    .mount("the daemon's run directory, by a symbolic link", .refused("run it without that mount"))
    {
      $0.directory + "/link-to-run"
    },
    .mount(
      "the registry's directory, read-only", .refused("run it without that mount"), readOnly: true
    ) {
      $0.stateDirectory
    },
    .mount("the directory above the registry's", .refused("run it without that mount")) { _ in
      "/var/lib"
    },
    .mount("/", .refused("run it without that mount")) { _ in "/" },
    .mount("/, read-only", .refused("run it without that mount"), readOnly: true) { _ in "/" },
    .mount("an engine's socket", .refused("socket of a program of the host")) { $0.socket },
    .mount("the directory of an engine's socket", .refused("socket of a program of the host")) {
      $0.socketDirectory
    },
    .mount("an engine's socket, by a symbolic link", .refused("socket of a program of the host")) {
      $0.directory + "/link-to-socket"
    },
    .mount(
      "the directory of a socket with a relative name", .refused("socket of a program of the host")
    ) { $0.directoryOfProgram },
    .mount(
      "the same, where its program has left that directory",
      .refused("socket of a program of the host")
    ) { $0.directoryThatProgramLeft },
    .mount(
      "a socket of an unprivileged program",
      .harmless("that program answers for itself: it has a socket of its own, and starts nothing")
    ) { $0.harmlessSocket },
    .mount("/etc", .harmless("made read-only"), protected: ["/x"]) { _ in "/etc" },
    .mount("a directory of programs", .harmless("made read-only"), protected: ["/x"]) { _ in
      "/usr/bin"
    },
    .mount("/dev", .refused("run it without that mount")) { _ in "/dev" },
    .mount("/dev/shm", .refused("the host's shared memory")) { _ in "/dev/shm" },
    .mount("/dev/pts", .refused("the host's terminals")) { _ in "/dev/pts" },
    .mount("a directory of data", .harmless("its files are the user's")) { $0.data },
    // From here on every mount of the host's is searched.
    .mount(
      "the directory of a socket with a relative name, which no process has: it is on its way to one",
      .refused("a program of the host has a socket of the relative name underway")
    ) { $0.directoryOfSocketUnderWay },
    .mount("a directory of data, meanwhile", .harmless("its one socket is known")) { $0.data },
  ]
}
