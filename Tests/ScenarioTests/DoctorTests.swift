import Foundation
import TestSupport
import Testing

@Suite("What istbpf doctor finds, and what it says to type", .timeLimit(.minutes(10)))
struct DoctorTests {
  private struct Finding: Decodable {
    let name: String
    let verdict: String
    let detail: String
    let consequence: String
    let type: String?
  }

  /// What it finds that is called so, but for what is as it should be.
  private func findings(
    _ runner: RunnerLaboratory, _ name: String, wrapper: [String] = [], options: [String] = []
  ) throws -> [Finding] {
    let result = try runner.istbpf(["doctor", "--json"] + options, wrapper: wrapper)
    let all = try JSONDecoder().decode([Finding].self, from: Data(result.output.utf8))
    let isFailure = all.contains { ["missing", "problem"].contains($0.verdict) }
    #expect(result.status == (isFailure ? 1 : 0), "\(result.errors)")
    let found = all.filter { $0.name == name && $0.verdict != "found" }
    // Where a test wants one, this says why there is none.
    if found.isEmpty { print("doctor, \(name): \(all.filter { $0.name == name })") }
    return found
  }

  /// Expects that it finds one thing called so, with these parts of detail and command.
  private func expect(
    _ runner: RunnerLaboratory, _ name: String, verdict: String = "problem", _ detail: String,
    type: String,
    wrapper: [String] = [], options: [String] = [], location: SourceLocation = #_sourceLocation
  ) throws {
    let found = try findings(runner, name, wrapper: wrapper, options: options)
    #expect(found.count == 1, "\(found)", sourceLocation: location)
    guard let first = found.first else { return }
    #expect(first.verdict == verdict, "\(first)", sourceLocation: location)
    #expect(first.detail.contains(detail), "\(first)", sourceLocation: location)
    #expect(first.type?.contains(type) == true, "\(first)", sourceLocation: location)
    #expect(!first.consequence.isEmpty, sourceLocation: location)
  }

  /// What stands before a command that sees the file system as `script` has made it.
  private func after(_ script: String) -> [String] {
    ["unshare", "--mount", "bash", "-ec", "\(script)\nexec \"$@\"", "bash"]
  }

  @Test("A unit that is masked, and an engine or a configuration that names no runtime")
  func files() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let units = "mount -t tmpfs tmpfs /etc/systemd/system"
      try expect(
        runner, "unit", "istbpfd.service is masked by /etc/systemd/system/istbpfd.service",
        type: "systemctl unmask istbpfd.service",
        wrapper: after("\(units); ln -s /dev/null /etc/systemd/system/istbpfd.service"))
      try expect(
        runner, "unit", "istbpf-relay@.service is masked by /etc/systemd/system/",
        type: "systemctl unmask istbpf-relay@.service",
        wrapper: after("\(units); touch /etc/systemd/system/istbpf-relay@.service"))
      #expect(
        try findings(
          runner, "unit",
          wrapper: after("\(units); echo '[Unit]' >/etc/systemd/system/istbpfd.service")
        ).isEmpty)

      let (place, istbpf) = ("/tmp/\(runner.installation.name)", try Product.istbpf())
      defer { try? FileManager.default.removeItem(atPath: place) }
      let configured = """
        mount -t tmpfs tmpfs /etc/containers; mkdir -p \(place)
        ln -sf /bin/true \(place)/istbpf-oci
        \(istbpf) runtime configure --engine podman --runtime-path \(place)/istbpf-oci >/dev/null
        """
      #expect(try findings(runner, "runtime of podman", wrapper: after(configured)).isEmpty)
      try expect(
        runner, "runtime of podman", "names \(place)/istbpf-oci, which is not there",
        type: "istbpf runtime configure --engine podman",
        wrapper: after("\(configured); rm \(place)/istbpf-oci"))

      try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
      let file = "\(place)/config.json"
      try #"{"oci": {"runtime": "/no/runc"}, "metrics": {"adress": "127.0.0.1:1"}}"#
        .write(toFile: file, atomically: true, encoding: .utf8)
      try expect(
        runner, "oci.runtime", "/no/runc is not there", type: file, options: ["--config", file])
      try expect(
        runner, "configuration", "did you mean \"metrics.address\"?",
        type: "istbpfd --check-config \(file)", options: ["--config", file])
    }
  }

  @Test("Programs of others on the hooks, and fabrics whose sysctls were changed")
  func others() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      _ = try runner.instance(of: "shop/app")
      // What others have at the root of all is none of this test's.
      func own() throws -> [Finding] {
        try findings(runner, "other BPF on the hooks").filter {
          $0.detail.contains(runner.installation.name)
        }
      }
      #expect(try own().isEmpty)
      let cgroup = try #require(try runner.listedInstances().first?.cgroup)
      let parent = (cgroup as NSString).deletingLastPathComponent
      let attached = try run(TestProgram.python("stranger.py") + [parent])
      #expect(attached.status == 0, "\(attached.errors)")
      let found = try own()
      #expect(found.count == 1 && found.first?.verdict == "note", "\(found)")
      #expect(
        found.first?.detail.contains("stranger is on connect4 of \(parent)") == true, "\(found)")
      #expect(found.first?.type?.contains("bpftool prog show id ") == true)

      #expect(try findings(runner, "rp_filter").isEmpty)
      let fabric = "\(runner.installation.fabricPrefix)shop"
      try run("ip", "netns", "exec", fabric, "sysctl", "-w", "net.ipv4.conf.lo.rp_filter=1")
      try expect(
        runner, "rp_filter", "is on in the fabric \(fabric)",
        type: "sysctl -w net.ipv4.conf.all.rp_filter=0")
    }
  }

  @Test(
    "Strict rp_filter, MTU, a firewall on the tunnels' port, a limit of descriptors, a certificate's end"
  )
  func cluster() async throws {
    try await ClusterLaboratory.with { cluster in
      let (runner, enter) = (cluster[1], cluster.enter(1))
      func command(_ number: Int, _ line: String) throws {
        let result = try run(cluster.enter(number) + line.split(separator: " ").map(String.init))
        #expect(result.status == 0, "\(line): \(result.errors)")
      }
      try command(1, "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.wire.rp_filter=0")
      for name in [
        "rp_filter", "MTU", "firewall", "tunnel.certificate",
        "tunnel.authorities",
        "tunnel.address", "etcd", "etcd's latency", "clock skew", "configuration",
        "path to runner2",
      ] { #expect(try findings(runner, name, wrapper: enter).isEmpty, "\(name)") }
      let text = try runner.istbpf(["doctor"], wrapper: enter).output
      #expect(text.contains("packets of 1500 bytes pass"), "\(text)")

      try command(1, "sysctl -qw net.ipv4.conf.wire.rp_filter=1")
      try expect(
        runner, "rp_filter", verdict: "note", "is strict for wire",
        type: "net.ipv4.conf.wire.rp_filter=2",
        wrapper: enter)

      for (add, remove) in [
        ("iptables -A INPUT -p tcp --dport 7443 -j DROP", "iptables -F INPUT"),
        (
          "iptables -A INPUT -p tcp -m multiport --dports 80,7000:8000 -j REJECT",
          "iptables -F INPUT"
        ),
      ] {
        try command(1, add)
        try expect(
          runner, "firewall", "drops what comes to port 7443", type: "--dport 7443 -j ACCEPT",
          wrapper: enter)
        try command(1, remove)
      }
      // What answers, and what this machine says to itself, passes as with any firewall; but nothing else does.
      try command(1, "iptables -A INPUT -i lo -j ACCEPT")
      try command(1, "iptables -A INPUT -s 10.77.0.254 -j ACCEPT")
      try command(1, "iptables -P INPUT DROP")
      try expect(
        runner, "firewall", "the policy of INPUT is DROP, and no rule accepts it",
        type: "--dport 7443 -j ACCEPT", wrapper: enter)
      try command(1, "iptables -A INPUT -p tcp --dport 7443 -j ACCEPT")
      #expect(try findings(runner, "firewall", wrapper: enter).isEmpty)
      try command(1, "iptables -P INPUT ACCEPT")
      try command(1, "iptables -F INPUT")
      try command(1, "nft add table inet own")
      try command(
        1, "nft add chain inet own in { type filter hook input priority 0 ; policy accept ; }")
      #expect(try findings(runner, "firewall", wrapper: enter).isEmpty)
      try command(1, "nft add rule inet own in tcp dport { 22, 7443 } counter drop")
      try expect(
        runner, "firewall", "in the chain in of inet own", type: "tcp dport 7443 accept",
        wrapper: enter)
      try command(1, "nft insert rule inet own in tcp dport 7443 accept")
      #expect(try findings(runner, "firewall", wrapper: enter).isEmpty)

      try command(2, "ip link set wire mtu 1300")
      try expect(
        runner, "MTU", "packets of 1500 bytes do not reach runner2", type: "tracepath -n ",
        wrapper: enter)
      try command(1, "ip link set wire mtu 1000")
      try expect(
        runner, "MTU", "has an MTU of 1000", type: "ip link set wire mtu 1500", wrapper: enter)
      try command(1, "ip link set wire mtu 1500")
      try command(2, "ip link set wire mtu 1500")

      try cluster.issue(1, days: 13)
      try expect(
        runner, "tunnel.certificate", "ends in 1", type: "istbpf ca issue ", wrapper: enter)
      try cluster.issue(1, days: 16)
      #expect(try findings(runner, "tunnel.certificate", wrapper: enter).isEmpty)

      runner.killAll()
      try runner.startDaemon(wrapper: ["prlimit", "--nofile=4096:4096"])
      try expect(
        runner, "ulimit of open files", "istbpf-relay may have 4096 descriptors",
        type: "systemctl edit istbpf-relay@, with [Service] LimitNOFILE=",
        wrapper: enter)
    }
  }

  @Test("etcd that is slow, whose clock is another, or that is not there")
  func etcd() async throws {
    try await ClusterLaboratory.with(runners: 1) { cluster in
      let (runner, enter) = (cluster[1], cluster.enter(1))
      let text = try String(contentsOfFile: cluster.configuration(1), encoding: .utf8)
      let file = "\(cluster.directory)/other.json"
      try text.replacingOccurrences(
        of: "http://10.77.0.254:2379", with: "http://user:secret@10.77.0.1:7999"
      )
      .write(toFile: file, atomically: true, encoding: .utf8)
      func options() -> [String] { ["--config", file] }
      try expect(
        runner, "etcd", "http://[removed]@10.77.0.1:7999 does not answer", type: "/health",
        wrapper: enter,
        options: options())

      let slow = try Conversation(
        enter + TestProgram.python("slow_etcd.py") + ["10.77.0.1", "7999", "0.4", "-3600"])
      defer { slow.stop() }
      #expect(try slow.nextLine() == "ready")
      try expect(
        runner, "etcd's latency", " ms to answer", type: "endpoint status", wrapper: enter,
        options: options())
      try expect(
        runner, "clock skew", " s ahead of that of http://[removed]@10.77.0.1:7999",
        type: "chronyc makestep",
        wrapper: enter, options: options())
      let said = try runner.istbpf(["doctor"] + options(), wrapper: enter)
      #expect(!(said.output + said.errors).contains("secret"))
    }
  }
}
