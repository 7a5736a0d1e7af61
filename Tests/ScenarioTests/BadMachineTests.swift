import Foundation
import TestSupport
import Testing

@Suite("A machine that is not as it should be", .timeLimit(.minutes(10)))
struct BadMachineTests {
  /// A wrapper for a command: a mount namespace of its own where `script` was done before.
  private func machine(_ script: String) -> [String] {
    ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script + #"; exec "$@""#, "-"]
  }

  private func writeRegistry(_ runner: RunnerLaboratory, _ bytes: Data) throws {
    let installation = runner.installation
    try FileManager.default.createDirectory(
      atPath: installation.stateDirectory, withIntermediateDirectories: true)
    try bytes.write(to: URL(fileURLWithPath: installation.registryPath))
  }

  @Test("A bpffs that is read-only is named; one that is missing is mounted")
  func bpffs() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let readOnly = try runner.refusedDaemon(
        wrapper: machine("mount -o remount,ro,bind /sys/fs/bpf"))
      #expect(readOnly.status == 1)
      #expect(readOnly.errors.contains("bpffs is mounted read-only"), "\(readOnly.errors)")

      try runner.startDaemon(wrapper: machine("umount -l /sys/fs/bpf"))
      try runner.deploy("shop", "app")
      let pins = try run(
        "nsenter", "--target", "\(runner.daemon?.processID ?? 0)", "--mount", "ls",
        runner.installation.pinDirectory)
      #expect(pins.output.contains("cgroup_identity\n"), "\(pins.errors)")
      #expect(!FileManager.default.fileExists(atPath: runner.installation.pinDirectory))
    }
  }

  @Test("Without cgroup2 the daemon says what to mount")
  func cgroup2() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let result = try runner.refusedDaemon(
        wrapper: machine(
          "awk '$3 == \"cgroup2\" { print $2 }' /proc/self/mounts | xargs -r umount -l"))
      #expect(result.status == 1)
      #expect(result.errors.contains("mount -t cgroup2"), "\(result.errors)")
    }
  }

  @Test("A registry that is none, another program's or damaged is named and left as it is")
  func registry() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let path = runner.installation.registryPath
      try writeRegistry(runner, Data("this is no database, whatever its name says".utf8))
      let none = try runner.refusedDaemon()
      #expect(none.status == 1 && none.errors.contains("\(path) is no registry"), "\(none.errors)")
      #expect(
        FileManager.default.contents(atPath: path)
          == Data("this is no database, whatever its name says".utf8))

      try FileManager.default.removeItem(atPath: path)
      try run("sqlite3", path, "CREATE TABLE recipes (name)")
      let foreign = try runner.refusedDaemon()
      #expect(foreign.status == 1 && foreign.errors.contains("recipes"), "\(foreign.errors)")

      try FileManager.default.removeItem(atPath: path)
      try runner.startDaemon()
      try runner.deploy("shop", "app")
      #expect(runner.daemon?.terminate() == 0)
      var bytes = try Data(contentsOf: URL(fileURLWithPath: path))
      for index in bytes.indices.dropFirst(4096) { bytes[index] = 0xa5 }
      try writeRegistry(runner, bytes)
      let damaged = try runner.refusedDaemon()
      #expect(damaged.status == 1 && damaged.errors.contains("is damaged"), "\(damaged.errors)")
      #expect(FileManager.default.contents(atPath: path) == bytes)
    }
  }

  @Test("A registry that was lost is not made anew while instances run that it would not know")
  func lostRegistry() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      try app.listen(8080)
      runner.killDaemon()
      for suffix in ["", "-wal", "-shm"] {
        try? FileManager.default.removeItem(atPath: runner.installation.registryPath + suffix)
      }
      let refused = try runner.refusedDaemon()
      #expect(refused.status == 1)
      #expect(refused.errors.contains("the registry knows no such instances"), "\(refused.errors)")
      #expect(try app.connect("$WARP_IST_app", 8080) == "shop/app at 198.18.1.2", "it goes on")
      #expect(try app.connect("192.0.2.1", 80) == "EPERM")
    }
  }

  @Test("A full disk refuses what is new, keeps what was there and is named")
  func diskFull() async throws {
    try await RunnerLaboratory.withoutDaemon { runner in
      let directory = runner.installation.stateDirectory
      let disk = "mkdir -p \(directory); mount -t tmpfs -o size=512k tmpfs \(directory)"
      let fill = "dd if=/dev/zero of=\(directory)/filler bs=4k 2>/dev/null || true"
      let refused = try runner.refusedDaemon(wrapper: machine("\(disk); \(fill)"))
      #expect(
        refused.status == 1 && refused.errors.contains("disk may be full"), "\(refused.errors)")

      try runner.startDaemon(wrapper: machine(disk))
      try runner.deploy("shop", "app")
      let enter = ["nsenter", "--target", "\(runner.daemon?.processID ?? 0)", "--mount"]
      try run(enter + ["sh", "-c", fill])
      // What is left of the journal's last page takes some; then every change fails.
      let names = (1...200).flatMap { ["-s", "a-service-with-a-name-of-some-length-\($0)"] }
      let deploy = try runner.istbpf(["deploy", "-d", "other"] + names)
      #expect(deploy.status == 1 && deploy.errors.contains("disk may be full"), "\(deploy.errors)")
      #expect(try runner.inspect("deployments").map { $0["deployment"] } == ["shop"])
      #expect(try runner.istbpf("env", "shop/app").status == 0)

      try run(enter + ["rm", "\(directory)/filler"])
      #expect(try runner.istbpf(["deploy", "-d", "other"] + names).status == 0)
    }
  }

  @Test("A full map refuses an instance, of which nothing is left, and names itself")
  func mapFull() async throws {
    try await RunnerLaboratory.with { runner in
      try runner.deploy("shop", "app")
      let app = try runner.instance(of: "shop/app")
      try app.listen(8080)
      let map = "\(runner.installation.pinDirectory)/fabric_links"
      struct Map: Decodable { let bytes_value: Int }
      let shown = try run("bpftool", "--json", "map", "show", "pinned", map).output
      let size = try JSONDecoder().decode(Map.self, from: Data(shown.utf8)).bytes_value
      let value = Array(repeating: "0", count: size).joined(separator: " ")
      // Numbers that no link has: deployment 0.
      let commands = (1...16384).map { number in
        "map update pinned \(map) key \(number & 255) \(number >> 8 & 255) 0 0 value \(value)"
      }
      let file = "/tmp/\(runner.installation.name)-batch"
      runner.laboratory.atEnd { unlink(file) }
      try Data(commands.joined(separator: "\n").utf8).write(to: URL(fileURLWithPath: file))
      #expect(try run("bpftool", "batch", "file", file).status != 0, "until there is no more room")

      let refused = try runner.runInstance("shop/app", "true")
      #expect(refused.status == 1)
      #expect(refused.errors.contains("map fabric_links: "), "\(refused.errors)")
      #expect(refused.errors.contains("the map is full"), "\(refused.errors)")
      #expect(try runner.listedInstances().map(\.address) == ["198.18.1.2"])
      #expect(try app.connect("$WARP_IST_app", 8080) == "shop/app at 198.18.1.2")
    }
  }
}
