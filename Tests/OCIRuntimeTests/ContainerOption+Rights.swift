extension ContainerOption {
  static let devices: [ContainerOption] = [
    device("/dev/net/tun", .harmless("it makes no link without NET_ADMIN"), 10, 200),
    device("/dev/fuse", .harmless("it mounts nothing without SYS_ADMIN"), 10, 229),
    device(
      "/dev/kvm", .harmless("a machine inside has the network of the process that runs it"), 10, 232
    ),
    device("/dev/vhost-net", .refused("not known to be harmless"), 10, 238),
    device("/dev/vhost-vsock", .refused("not known to be harmless"), 10, 241),
    device("/dev/mem", .refused("not known to be harmless"), 1, 1),
    device("/dev/uinput", .refused("not known to be harmless"), 10, 223),
    device("a disk", .refused("not known to be harmless"), kind: "b", 8, 0),
    ContainerOption(
      .devices, "every disk, by a rule", .refused("not known to be harmless"),
      "--device-cgroup-rule",
      "b *:* rwm"),
    ContainerOption(
      .devices, "every character device, by a rule", .refused("not known to be harmless"),
      "--device-cgroup-rule", "c *:* rw"),
    ContainerOption(
      .devices, "the right to make nodes of devices", .harmless("such a node cannot be opened"),
      "--device-cgroup-rule", "b 8:0 m"),
  ]

  private static func device(
    _ title: String, _ decision: Decision, kind: String = "c", _ major: Int, _ minor: Int
  ) -> ContainerOption {
    let name = "\(kind)\(major).\(minor)"
    let words: Words = {
      ["--device", "\($0.node(name, kind, major, minor)):/dev/probe-of-\(minor)"]
    }
    return ContainerOption(
      .devices, title, decision, podman: words, docker: words,
      containerd: { ["--device", $0.node(name, kind, major, minor)] })
  }

  /// Why a capability that may be added does no harm; every other one is dropped.
  private static let harmlessCapabilities: [String: String] = [
    "AUDIT_WRITE": "writes to the audit log", "BLOCK_SUSPEND": "keeps the machine awake",
    "CHOWN": "its own files", "DAC_OVERRIDE": "its own files", "FOWNER": "its own files",
    "FSETID": "its own files", "IPC_LOCK": "its own memory",
    "IPC_OWNER": "its own System V objects",
    "KILL": "processes that it sees, which are its own", "LEASE": "its own files",
    "LINUX_IMMUTABLE": "its own files",
    "MKNOD": "a node that its device rules do not allow cannot be opened",
    "NET_BIND_SERVICE": "ports of its own network",
    "NET_BROADCAST": "the kernel asks for it nowhere",
    "SETFCAP": "within what it may have itself", "SETGID": "its own processes",
    "SETPCAP": "within what it may have itself", "SETUID": "its own processes",
    "SYS_CHROOT": "its own files", "SYS_NICE": "priorities",
    "SYS_PACCT": "accounting of its processes",
    "SYS_RESOURCE": "limits", "SYS_TTY_CONFIG": "terminals that it has", "WAKE_ALARM": "timers",
  ]

  /// The kernel's, by number (capability.h).
  static let capabilityNames = [
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
    "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW",
    "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
    "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD",
    "LEASE",
    "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
    "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
  ]

  /// One container is asked for all of them.
  static let capabilities: [ContainerOption] = capabilityNames.map { name in
    ContainerOption(
      .capabilities, name,
      .harmless(harmlessCapabilities[name].map { "harmless: \($0)" } ?? "taken away"))
  }

  /// Whether a container may have the capability with this number.
  static func mayHave(_ number: Int) -> Bool {
    harmlessCapabilities[capabilityNames[number]] != nil
  }

  static let security: [ContainerOption] = [
    ContainerOption(
      .security, "--privileged", .refused("without --privileged"), "--privileged",
      containerd: ["--privileged"]),
    ContainerOption(
      .security, "no seccomp profile", .harmless("the wrapper makes one of socket families"),
      "--security-opt", "seccomp=unconfined", containerd: []),
    ContainerOption(
      .security, "new privileges allowed", .harmless("they are bounded by its capabilities"),
      podman: { _ in [] }, docker: { _ in [] }, containerd: { _ in ["--allow-new-privs"] }),
    ContainerOption(
      .security, "no new privileges", .harmless("it has fewer"), "--security-opt",
      "no-new-privileges"),
    ContainerOption(
      .security, "no AppArmor profile", .harmless("nothing depends on AppArmor"), "--security-opt",
      "apparmor=unconfined", containerd: []),
    ContainerOption(
      .security, "no SELinux label", .harmless("nothing depends on SELinux"), "--security-opt",
      "label=disable", containerd: []),
    ContainerOption(
      .security, "nothing hidden in /proc and /sys", .harmless("the wrapper hides it again"),
      podman: { _ in ["--security-opt", "unmask=ALL"] },
      docker: { _ in ["--security-opt", "systempaths=unconfined"] }),
  ]

  static let other: [ContainerOption] = [
    ContainerOption(
      .other, "a cgroup inside an instance's", .refused("an instance already, or inside one"),
      podman: { ["--cgroup-parent", $0.twinCgroupName] },
      docker: { ["--cgroup-parent", $0.twinCgroupName] },
      containerd: { ["--cgroup", $0.twinCgroupName + "/inner"] }),
    ContainerOption(
      .other, "shared propagation of mounts", .harmless("it mounts nothing without SYS_ADMIN"),
      containerd: { _ in ["--rootfs-propagation", "shared"] }),
    ContainerOption(
      .other, "descriptors of the caller", .refused("would inherit descriptors"),
      podman: { _ in ["--preserve-fds", "1"] }),
    ContainerOption(
      .other, "a kernel parameter that makes a router", .refused("would forward packets"),
      "--sysctl",
      "net.ipv4.ip_forward=1"),
    ContainerOption(
      .other, "another kernel parameter of its network",
      .harmless("it changes its own network only"),
      "--sysctl", "net.ipv4.tcp_keepalive_time=60"),
    ContainerOption(
      .other, "hooks of others", .harmless("programs that the host's root chose"),
      podman: { ["--hooks-dir", $0.hooks] }),
    ContainerOption(
      .other, "an init process of the engine's", .harmless("it is in the container"), podman: nil,
      docker: { _ in ["--init"] }),
    ContainerOption(
      .other, "a read-only root", .harmless("it has less"), "--read-only",
      containerd: ["--read-only"]),
    ContainerOption(
      .other, "exec --privileged",
      .harmless("it gets no capability that the container has not")),
  ]
}
