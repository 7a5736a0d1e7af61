import LinuxSystem

extension Row {
  /// What a container makes of itself, and the walls.
  static let inside = namespaces + network + walls

  private static let namespaces: [Row] = [
    Row(.namespaces, "connect in a new user namespace", "namespaces.user"),
    Row(
      .namespaces, "packet socket in a new user namespace", "namespaces.user_packet",
      .structure("the network belongs to the first user namespace")),
    Row(
      .namespaces, "connect in a new network namespace", "namespaces.user_and_net",
      .structure("it has no link")),
    Row(
      .namespaces, "packet socket in a new network namespace", "namespaces.packet_in_net",
      .structure("it has no link")),
    Row(
      .namespaces, "TUN device and default route in a new network namespace",
      "namespaces.tunnel_in_net", .structure("it has no link to the outside")),
    Row(
      .namespaces, "veth from a new network namespace into the container's",
      "namespaces.veth_to_parent", .structure("the network belongs to the first user namespace"),
      since: KernelRelease(6, 13)),
    Row(
      .namespaces, "macvlan on ist0 in a new user namespace", "namespaces.macvlan_of_ist0",
      .structure("the network belongs to the first user namespace")),
    Row(
      .namespaces, "ist0 moved into a new namespace", "namespaces.take_ist0_along",
      .structure("the network belongs to the first user namespace")),
    Row(
      .namespaces, "back from a new network namespace with new capabilities",
      "namespaces.back_again", .structure("the network belongs to the first user namespace")),
    Row(.namespaces, "socket from before a new network namespace", "namespaces.socket_from_before"),
    Row(.namespaces, "connect in a new pid namespace", "namespaces.process_namespace"),
    Row(.namespaces, "connect from another thread", "namespaces.thread"),
    Row(.namespaces, "connect as another user", "namespaces.other_user"),
    Row(.namespaces, "connect from another program", "namespaces.executed"),
    Row(.namespaces, "connect from an orphan in a session of its own", "namespaces.orphan"),
    Row(.namespaces, "cgroups nested in a cgroup2 mount of its own", "namespaces.nested_cgroup"),
    Row(
      .namespaces, "clone3 with CLONE_INTO_CGROUP into the topmost cgroup",
      "namespaces.clone_into_root", alone: "together with hooks or packets, which it would escape"),
    Row(
      .namespaces, "itself written to the topmost cgroup", "namespaces.move_to_root",
      alone: "together with hooks or packets, which it would escape"),
    Row(.namespaces, "new cgroup beside its own", "namespaces.new_cgroup", .says),
  ]

  private static let network: [Row] = [
    Row(.network, "another service's address on ist0", "namespaces.second_address"),
    Row(.network, "another service's address on lo", "namespaces.second_address_of_lo"),
    Row(.network, "route of an instance address to the bridge", "namespaces.range_by_route"),
    Row(.network, "policy rule for an instance address to the bridge", "namespaces.range_by_rule"),
    Row(.network, "route of any address to the fabric", "namespaces.foreign_by_ist0"),
    Row(.network, "ist0 down, so that the range is the default route's", "namespaces.ist0_down"),
    Row(.network, "IPv6 switched on again on ist0", "namespaces.ipv6_on_ist0"),
    Row(.network, "forwarding between the bridge and the fabric", "namespaces.forwarding", .says),
    Row(
      .network, "masquerading for the bridge", "namespaces.masquerade", .whereKernelCan,
      alone: "it needs forwarding too"),
    Row(.network, "tc filter on ist0", "namespaces.qdisc", .says),
  ]

  private static let walls: [Row] = [
    Row(.walls, "the control socket", "walls.control_socket", .says),
    Row(
      .walls, "the control socket by /proc/PID/root of the daemon", "walls.control_socket_by_proc",
      .says),
    Row(
      .walls, "the control socket, with what covers it unmounted", "walls.control_socket_uncovered",
      .structure("there is nothing to unmount without the layer")),
    Row(
      .walls, "the same as root of a new user namespace", "walls.control_socket_uncovered_as_root",
      .structure("there is nothing to unmount without the layer")),
    Row(.walls, "the registry's file", "walls.registry", .says),
    Row(.walls, "pins below /sys/fs/bpf", "walls.pinned", .says),
    Row(.walls, "a map by its pin", "walls.map_by_pin", .says),
    Row(.walls, "a map by its number", "walls.map_by_number", .says),
    Row(.walls, "a map of its own", "walls.new_map", .says),
    Row(.walls, "BPF_PROG_DETACH on its own cgroup", "walls.detach", .says),
    Row(
      .walls, "a bpffs of its own", "walls.bpffs_of_its_own", .structure("a new bpffs has no pins")),
    Row(.walls, "ptrace of another deployment's process", "walls.ptrace", .says),
    Row(.walls, "pidfd_getfd of another deployment's socket", "walls.steal_descriptor", .says),
    Row(.walls, "/proc/PID/mem of another deployment", "walls.read_memory", .says),
    Row(.walls, "process_vm_readv of another deployment", "walls.read_memory_by_call", .says),
    Row(.walls, "/proc/PID/root of another deployment", "walls.root_of_victim", .says),
    Row(
      .walls, "/proc/PID/environ of another deployment", "walls.environment_of_victim", .says,
      alone: "CAP_PERFMON may, whatever the domain (Linux 6.13)"),
    Row(.walls, "/proc/PID/root of the daemon", "walls.root_of_host", .says),
    Row(
      .walls, "signals to another deployment", "walls.signal", .says, since: KernelRelease(6, 12)),
    Row(.walls, "signals to the daemon", "walls.signal_daemon", .says, since: KernelRelease(6, 12)),
    Row(.walls, "setns to the host's network", "walls.namespace_of_host", .says),
    Row(.walls, "setns to another deployment's network", "walls.namespace_of_victim", .says),
    Row(.walls, "setns by pidfd", "walls.namespace_by_pidfd", .says),
    Row(.walls, "setns to a fabric by its name", "walls.fabric_by_name", .says),
    Row(.walls, "setns by SIOCGSKNS", "walls.namespace_by_socket", .says),
    Row(.walls, "TAP device in its own network", "walls.tun", .whereKernelCan),
    Row(.walls, "device node", "walls.device_node", .says),
    Row(.walls, "remounting cgroupfs writable", "walls.remount", .says),
    Row(.walls, "the kernel's settings below /proc/sys", "walls.kernel_setting", .says),
    Row(.walls, "open_by_handle_at", "walls.handle", .says),
  ]
}
