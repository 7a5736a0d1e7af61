import Dataplane
import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite(
  "An instance is unidentified until it is proved that its programs guard it",
  .timeLimit(.minutes(10)))
struct AttachProofTests {
  @Test("A process that is not in its cgroup does not become an instance, and nobody is told of it")
  func elsewhere() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app", "db")
      let app = try runner.instance(of: "shop/app")
      let result = try runner.istbpf(
        ["run", "-d", "shop", "-s", "db", "--", "sh", "-c", "echo $WARP_IST_app"],
        wrapper: try Self.withImitatedCgroup("shop.deployment/db.2", of: runner))
      #expect(result.status == 1 && result.output.isEmpty)
      #expect(
        result.errors.contains("a TCP connect to 192.0.2.1 should have been denied"),
        "\(result.errors)")
      #expect(result.errors.contains("shop.deployment/db.2 do not guard this process"))

      let db = try #require(try runner.inspect("services").first { $0["service"] == "db" })
      #expect(db["local"] == "-")
      #expect(try !runner.inspect("fabric_links").contains { $0["service"] == "db" })
      #expect(try app.connect("$WARP_IST_db", 3211) == "ECONNREFUSED")
      #expect(try runner.eventually(within: 20) { try runner.listedInstances().count == 1 })
    }
  }

  @Test(
    "A process whose cgroup has lost a program does not become an instance",
    arguments: [
      ("connect4", "a TCP connect to 192.0.2.1 should have been denied"),
      ("connect6", "a TCP connect to 2001:db8::1 should have been denied"),
      // The backstop denies that datagram too; but the program is missed.
      ("sendmsg4", "the kernel does not run sendmsg4"),
      ("sendmsg6", "a datagram to 2001:db8::1 should have been denied"),
      ("sock_create", "to make a raw socket should have been denied"),
      ("ingress", "the kernel does not run skb/ingress"),
      ("egress", "the kernel does not run skb/egress"),
      ("sockops", "the kernel does not run sockops"),
      ("getpeername4", "the kernel does not run getpeername4"),
    ])
  func detached(hook: String, message: String) async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let result = try runner.istbpf(
        ["run", "-d", "shop", "-s", "app", "--", "echo", "started"],
        wrapper: try Self.detaching(hook, from: "app.2", of: runner))
      #expect(result.status == 1 && result.output.isEmpty)
      #expect(result.errors.contains(message), "\(result.errors)")
      #expect(try runner.eventually { try runner.listedInstances().isEmpty })
    }
  }

  @Test("What is tried for the proof counts for no service")
  func counts() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      #expect(try runner.runInstance("shop/app", "true").status == 0)
      #expect(try runner.inspect("denials").isEmpty)
    }
  }

  @Test("Without any program nothing is proved")
  func unguarded() throws {
    try NamespaceLaboratory.with { laboratory in
      let (_, namespace) = try laboratory.namespace()
      let error = #expect(throws: DataplaneError.self) {
        try namespace.perform { try AttachProof.attempt(in: "/sys/fs/cgroup/none") }
      }
      let expected = DataplaneError.unguarded(
        cgroup: "/sys/fs/cgroup/none", attempt: "a TCP connect to 192.0.2.1", errno: ENETUNREACH)
      #expect(error == expected)
    }
  }

  /// What stands before a command so that it sees files that imitate a cgroup in that one's place.
  private static func withImitatedCgroup(
    _ name: String, of runner: RunnerLaboratory
  ) throws -> [String] {
    let root = try CgroupHierarchy.find().cgroup(runner.installation.cgroupName).path
    let script = """
      mount -t tmpfs none \(root) && mkdir -p \(root)/\(name) && touch \(root)/\(name)/cgroup.procs \\
        && exec "$@"
      """
    return ["unshare", "--mount", "sh", "-c", script, "sh"]
  }

  /// What stands before a command so that one program is detached from the cgroup that it enters: the
  /// file through which it does is a FIFO, of which nothing is read before that is done.
  private static func detaching(
    _ hook: String, from instance: String, of runner: RunnerLaboratory
  ) throws -> [String] {
    let root = try CgroupHierarchy.find().cgroup(runner.installation.cgroupName).path
    let script = """
      name=shop.deployment/\(instance) real=$(mktemp -d) hosts=\(runner.installation.hostsDirectory)
      mount -t tmpfs none $real && mkdir $real/r && mount --bind \(root) $real/r || exit 99
      mount -t tmpfs none \(root) && mkdir -p \(root)/$name && mkfifo \(root)/$name/cgroup.procs || exit 99
      {
        until [ -e $hosts/shop/\(instance) ]; do sleep 0.01; done
        set -- $(bpftool cgroup show $real/r/$name | awk '$NF == "ist_\(hook)" { print $2, $1 }')
        bpftool cgroup detach $real/r/$name $1 id $2 multi
        echo $$ > $real/r/$name/cgroup.procs
        cat \(root)/$name/cgroup.procs
      } > /dev/null 2>&1 &
      exec "$@"
      """
    return ["unshare", "--mount", "sh", "-c", script, "sh"]
  }
}
