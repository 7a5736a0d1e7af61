import LinuxSystem
import Testing

@testable import OCIRuntime

@Suite("What may be mounted in a container")
struct ContainerMountTests {
  private static let host = MountTable(
    parsing: """
      1 0 254:0 / / rw - ext4 /dev/vda rw
      2 1 0:21 / /proc rw - proc proc rw
      3 1 0:22 / /sys rw - sysfs sysfs rw
      4 3 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
      5 1 0:6 / /dev rw - devtmpfs devtmpfs rw
      6 5 0:23 / /dev/shm rw - tmpfs tmpfs rw
      7 5 0:24 / /dev/pts rw - devpts devpts rw
      8 1 0:25 / /run rw - tmpfs tmpfs rw
      9 1 254:16 /subvolume /data rw - btrfs /dev/vdb rw
      """)

  /// What is wrong with a container that has `mount` beside what every one has; nil where nothing is.
  private func objection(
    _ mount: String, root: String = "/rootfs", readOnly: Set<String> = []
  ) -> String? {
    let prefix = root == "/" ? "" : root
    let table = MountTable(
      parsing: """
        20 1 254:0 /var/lib/docker/vfs/dir/1 \(root) rw - ext4 /dev/vda rw
        21 20 0:60 / \(prefix)/proc rw - proc proc rw
        22 20 0:61 / \(prefix)/dev rw - tmpfs tmpfs rw
        23 20 0:62 / \(prefix)/sys ro - sysfs sysfs rw
        24 23 0:38 /docker/1 \(prefix)/sys/fs/cgroup rw - cgroup2 cgroup rw
        25 20 0:25 /istbpf/hosts/.containers/1 \(prefix)/etc/hosts rw - tmpfs tmpfs rw
        26 20 254:0 /var/lib/docker/containers/1/hostname \(prefix)/etc/hostname rw - ext4 /dev/vda rw
        27 20 \(mount.replacing(" /x", with: " \(prefix)/x"))
        """)
    let mounts = ContainerMounts(
      table: table, root: root, cgroups: ["/docker/1", "/docker/1"], ownProc: "0:60",
      readOnlyPaths: readOnly,
      hosts: ContainerMounts.place(of: "/run/istbpf/hosts/.containers/1", in: Self.host))
    return mounts.objection(
      ContainerMounts.Host(
        table: Self.host, hidden: ["/run/istbpf", "/var/lib/istbpf", "/data/secret"],
        undivided: ["/var/lib/docker", "/run/docker"], readOnly: ["/etc", "/usr"]))
  }

  @Test(
    "What is the host's is refused by what it is, whatever path led to it",
    arguments: [
      ("0:38 / /x rw - cgroup2 cgroup rw", "cgroups"),
      ("0:38 /docker /x rw - cgroup2 cgroup rw", "cgroups"),
      ("0:38 /docker/12 /x ro - cgroup2 cgroup rw", "cgroups"),
      ("0:29 / /x rw - cgroup cgroup rw,cpu", "cgroups"),
      ("0:21 / /x rw - proc proc rw", "another /proc"),
      ("0:21 /sys/kernel/core_pattern /x rw - proc proc rw", "another /proc"),
      ("0:60 / /x rw - proc proc rw", "another /proc"),
      ("0:22 /kernel /x rw - sysfs sysfs rw", "writable"),
      ("0:70 / /x rw - bpf bpf rw", "kernel's bpf"),
      ("0:4 net:[4026531840] /x rw - nsfs nsfs rw", "kernel's nsfs"),
      ("0:6 / /x rw - devtmpfs devtmpfs rw", "host's /dev"),
      ("0:23 / /x rw - tmpfs tmpfs rw", "shared memory"),
      ("0:24 / /x rw - devpts devpts rw", "terminals"),
      ("0:25 / /x ro - tmpfs tmpfs rw", "/run/istbpf"),
      ("0:25 /istbpf/control.sock /x rw - tmpfs tmpfs rw", "/run/istbpf"),
      ("0:25 /istbpf/hosts/.containers/1 /x rw - tmpfs tmpfs rw", "/run/istbpf"),
      ("254:0 / /x ro - ext4 /dev/vda rw", "/var/lib/istbpf"),
      ("254:0 /var/lib/istbpf /x ro - ext4 /dev/vda rw", "/var/lib/istbpf"),
      ("254:0 /var/lib/docker /x ro - ext4 /dev/vda rw", "/var/lib/docker"),
      ("254:0 /etc/cron.d /x rw - ext4 /dev/vda rw", "/etc of the host, writable"),
      ("254:16 /subvolume /x rw - btrfs /dev/vdb rw", "/data/secret"),
    ])
  func refused(_ mount: String, _ expected: String) {
    for root in ["/rootfs", "/"] {
      let said = objection(mount, root: root)
      #expect(said?.contains(expected) == true, "\(root): \(said ?? "nothing")")
      #expect(said?.contains(" on /x") == true, "\(said ?? "")")
    }
  }

  @Test(
    "What engines and users mount without harm is not",
    arguments: [
      "254:0 /srv/data /x rw - ext4 /dev/vda rw",
      "254:0 /var/lib/docker/volumes/v/_data /x rw - ext4 /dev/vda rw",
      "254:0 /etc/localtime /x ro - ext4 /dev/vda rw",
      "254:0 /etcetera /x rw - ext4 /dev/vda rw",
      "0:6 /null /x rw - devtmpfs devtmpfs rw",
      "0:22 / /x ro - sysfs sysfs rw",
      "0:38 /docker/1/inner /x rw - cgroup2 cgroup rw",
      "0:29 /docker/1 /x rw - cgroup cgroup rw,cpu",
      "0:99 / /x rw - tmpfs tmpfs rw",
      "0:98 / /x rw - overlay overlay rw",
      "254:16 /other /x rw - btrfs /dev/vdb rw",
    ])
  func harmless(_ mount: String) {
    for root in ["/rootfs", "/"] { #expect(objection(mount, root: root) == nil) }
  }

  @Test("What the runtime makes read-only later counts as read-only")
  func later() {
    let mount = "254:0 /usr /x rw - ext4 /dev/vda rw"
    #expect(objection(mount) != nil)
    #expect(objection(mount, readOnly: ["/x"]) == nil)
  }

  @Test("A path is where the last mount on its way says")
  func places() {
    func place(_ path: String) -> String {
      let place = ContainerMounts.place(of: path, in: Self.host)
      return "\(place.device) \(place.path)"
    }
    #expect(place("/run/istbpf") == "0:25 /istbpf")
    #expect(place("/run") == "0:25 /")
    #expect(place("/runner") == "254:0 /runner")
    #expect(place("/data/a") == "254:16 /subvolume/a")
    #expect(place("/data") == "254:16 /subvolume")
    #expect(place("/") == "254:0 /")
  }
}
