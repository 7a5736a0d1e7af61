import Foundation
import TestSupport
import Testing

@Suite("A package is made the same again", .timeLimit(.minutes(5)))
struct ReproducibleTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardized.path

  /// The hashes of the packages that Scripts/package makes in `tree`, by name, of a small binary in the place of the
  /// large one.
  private func packages(
    of tree: String, binary: String, in directory: String, _ environment: [String]
  ) throws -> [Substring] {
    try FileManager.default.createDirectory(
      atPath: "\(directory)/tmp", withIntermediateDirectories: true)
    let made = try run(
      ["env", "-C", tree, "GIT_DIR=\(Self.root)/.git", "TMPDIR=\(directory)/tmp"] + environment + [
        "Scripts/package", "--version", "1.2.3", "--binary", binary, "--output",
        "\(directory)/packages",
      ])
    try #require(made.status == 0, "\(made.errors)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: "\(directory)/tmp").isEmpty)
    return made.output.split(separator: "\n").map { line in
      line.prefix { $0 != " " } + " " + (line.split(separator: "/").last ?? "")
    }
  }

  @Test(
    "In another tree and directory, at another time, with another time zone, language and umask")
  func again() throws {
    let directory = "/tmp/istbpf-reproducible-\(UInt32.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    // It says what the programs say, which are too large to be packed twice here; with a build id, as the linker gives.
    let source = """
      #include <string.h>
      #include <unistd.h>
      int main(int argc, char **argv) {
        const char *name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
        (void)argc;
        execv(strcmp(name, "istbpf") ? "\(try Product.istbpfd())" : "\(try Product.istbpf())", argv);
        return 1;
      }
      """
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try Data(source.utf8).write(to: URL(fileURLWithPath: "\(directory)/binary.c"))
    let binary = "\(directory)/binary"
    let compiled = try run("cc", "-g", "-Wl,--build-id", "-o", binary, "\(directory)/binary.c")
    try #require(compiled.status == 0, "\(compiled.errors)")
    let other = "\(directory)/another-tree"
    try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
    let copied = try run(
      "sh", "-c", #"cd "$1" && git ls-files -z | xargs -0 cp --parents -t "$2""#, "sh", Self.root,
      other)
    try #require(copied.status == 0, "\(copied.errors)")

    let first = try packages(of: Self.root, binary: binary, in: "\(directory)/1", [])
    let second = try packages(
      of: other, binary: binary, in: "\(directory)/a-longer-name",
      [
        "TZ=Asia/Tokyo", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "sh", "-c", #"umask 077; exec "$@""#,
        "sh",
      ])
    #expect(first == second)
    #expect(first.count == 3, "a package, its symbols, and an archive: \(first)")
    #expect(first.allSatisfy { $0.count > 64 })
  }
}
