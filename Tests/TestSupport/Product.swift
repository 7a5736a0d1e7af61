import Foundation

/// The built programs, which lie beside the test bundle.
public enum Product {
  /// The path of the daemon.
  public static func istbpfd() throws -> String { try path(of: "istbpfd") }

  /// The path of the command line tool.
  public static func istbpf() throws -> String { try path(of: "istbpf") }

  /// The path of the OCI runtime.
  public static func istbpfOCI() throws -> String { try path(of: "istbpf-oci") }

  private static func path(of name: String) throws -> String {
    // The process is the bundle itself or a helper that was told where it is.
    let places = ["/proc/self/exe"] + CommandLine.arguments
    for place in places {
      let bundle = URL(fileURLWithPath: place).resolvingSymlinksInPath()
      let path = bundle.deletingLastPathComponent().appendingPathComponent(name).path
      if FileManager.default.isExecutableFile(atPath: path) { return path }
    }
    throw RequirementMissing(description: "\(name) is not built: run swift build --build-tests")
  }
}
