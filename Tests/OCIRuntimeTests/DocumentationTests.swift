import Foundation
import TestSupport
import Testing

@testable import OCIRuntime

@Suite("What the documentation of containers shows")
struct DocumentationTests {
  private static var documentation: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../../Documentation"
    ).standardizedFileURL
  }

  @Test("podman-compose understands the compose file")
  func compose() throws {
    let file = Self.documentation.appendingPathComponent("compose.yaml").path
    // It asks podman for networks even so.
    let result = try run(
      "podman-compose", "--podman-path", "/bin/true", "--dry-run", "-f", file, "up", "--no-start")
    let said = result.output + result.errors
    #expect(result.status == 0, "\(said)")
    for service in ["app", "db"] {
      #expect(said.contains("-e WARP_DEPLOYMENT=shop -e WARP_SERVICE=\(service) "), "\(said)")
    }
  }

  @Test("Every JSON that it shows is JSON, and the wrapper's keys are the wrapper's")
  func json() throws {
    let text = try String(
      contentsOf: Self.documentation.appendingPathComponent("containers.md"), encoding: .utf8)
    let blocks = text.components(separatedBy: "```json\n").dropFirst().map {
      Array(($0.components(separatedBy: "```").first ?? "").utf8)
    }
    let values = try blocks.map { try JSONValue(parsing: $0) }
    #expect(values.count == 2)
    #expect(values.first?["runtimes"]?["istbpf"]?["path"]?.string == "/usr/bin/istbpf-oci")
    #expect(values.last?["oci"]?["variables"] == .scalar(Array("false".utf8)))
  }
}
