import Foundation
import TestSupport
import Testing

@Suite("istbpf runtime configure", .timeLimit(.minutes(5)))
struct RuntimeConfigureTests {
  private let directory = FileManager.default.temporaryDirectory
    .appendingPathComponent("istbpf-configure-\(UUID().uuidString)").path

  private func configure(_ arguments: String...) throws -> CommandResult {
    try run([try Product.istbpf(), "runtime", "configure"] + arguments)
  }

  @Test("containerd takes the file for what is meant")
  func containerd() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let file = "\(directory)/etc/config.toml"
    let oci = try Product.istbpfOCI()
    let written = try configure("--engine", "containerd", "--default", "--config-file", file)
    #expect(written.status == 0, "\(written.errors)")
    #expect(written.output.contains("wrote \(file)\n"))
    #expect(written.output.contains("systemctl restart containerd"))
    let dump = try run("containerd", "--config", file, "config", "dump")
    #expect(dump.status == 0, "\(dump.errors)")
    #expect(dump.output.contains(#"default_runtime_name = "istbpf""#))
    #expect(dump.output.contains(#"BinaryName = "\#(oci)""#))
    #expect(dump.output.contains(#"pod_annotations = ["io.istbpf.*"]"#))
    let again = try configure("--engine", "containerd", "--default", "--config-file", file)
    #expect(again.output == "\(file) is as it should be: nothing was changed\n")
    let undone = try configure("--engine", "containerd", "--undo", "--config-file", file)
    #expect(undone.status == 0 && undone.output.hasPrefix("removed \(file)\n"), "\(undone)")
    #expect(!FileManager.default.fileExists(atPath: file))
  }

  @Test("podman reads the file where it is written, and has the runtime as its default")
  func podman() throws {
    // podman takes no longer path.
    let storage = "/tmp/istbpf-\(getpid())"
    defer { try? FileManager.default.removeItem(atPath: storage) }
    let script = """
      mount -t tmpfs tmpfs /etc/containers
      istbpf=$1; shift
      $istbpf runtime configure --engine podman --default >&2
      "$@" info --format '{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Path}}'
      $istbpf runtime configure --engine podman --undo >&2
      find /etc/containers -name '*istbpf*'
      """
    let runtime = try run(
      "unshare", "--mount", "bash", "-ec", script, "bash", try Product.istbpf(), "podman", "--root",
      "\(storage)/r", "--runroot", "\(storage)/rr", "--storage-driver", "vfs")
    #expect(
      runtime.output == "istbpf \(try Product.istbpfOCI())\n", "\(runtime.output)\(runtime.errors)")
    #expect(runtime.errors.contains("wrote /etc/containers/containers.conf.d/50-istbpf.conf"))
  }

  @Test("A dry run changes nothing, owner and mode stay, and a link stays a link")
  func files() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let prepared = try run(
      "bash", "-ec",
      """
      mkdir -p \(directory); cd \(directory)
      echo '{"mtu": 1400}' >real.json; chmod 640 real.json; chown 0:12 real.json; ln -s real.json daemon.json
      """)
    #expect(prepared.status == 0, "\(prepared.errors)")
    let file = "\(directory)/daemon.json"
    let dry = try configure("--engine", "docker", "--dry-run", "--config-file", file)
    #expect(dry.status == 0 && dry.output.contains(#""runtimes" : {"#), "\(dry)")
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "{\"mtu\": 1400}\n")
    #expect(try configure("--engine", "docker", "--config-file", file).status == 0)
    #expect(try String(contentsOfFile: file, encoding: .utf8) == dry.output)
    #expect(try run("stat", "-c", "%a %g %F", file).output == "777 0 symbolic link\n")
    #expect(try run("stat", "-Lc", "%a %g", file).output == "640 12\n")
    #expect(try run("ls", "-A", directory).output == "daemon.json\nreal.json\n")
  }

  @Test("What is wrong is named, and nothing is changed")
  func wrong() throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    let file = "\(directory)/daemon.json"
    try Data("{ nonsense\n".utf8).write(to: URL(fileURLWithPath: file))
    let broken = try configure("--engine", "docker", "--config-file", file)
    #expect(broken.status == 1 && broken.errors.contains("\(file): it is no JSON"), "\(broken)")
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "{ nonsense\n")
    let missing = try configure(
      "--engine", "podman", "--runtime-path", "/no/such", "--config-file", "\(directory)/x")
    #expect(missing.status == 1 && missing.errors.contains("there is no program /no/such"))
    #expect(try configure("--engine", "dokcer").status == 64)
    #expect(try configure("--engine", "docker", "--undo", "--default").status == 64)
  }
}
