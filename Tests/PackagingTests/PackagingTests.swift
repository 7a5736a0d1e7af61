import Foundation
import TestSupport
import Testing

/// What a package has beside the programs. A whole one is tested by Scripts/package-test.
@Suite("Packaging")
struct PackagingTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../..").standardized.path
  private static let packaging = "\(root)/Packaging"

  private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = "/tmp/istbpf-packaging-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
  }

  @Test(
    "Each command has a manual page that groff takes without a word, and that says what --help says"
  )
  func manual() throws {
    try withDirectory { directory in
      for (program, section, names) in [
        (try Product.istbpf(), 1, ["istbpf", "istbpf-run", "istbpf-runtime", "istbpf-uninstall"]),
        (try Product.istbpfd(), 8, ["istbpfd"]),
      ] {
        let made = try run(
          "sh", "-c",
          "\(program) --experimental-dump-help | \(Self.packaging)/manual \(directory) \(section) 1.2.3 2026-01-31"
        )
        try #require(made.status == 0, "\(made.errors)")
        for name in names {
          #expect(FileManager.default.fileExists(atPath: "\(directory)/\(name).\(section)"))
        }
      }
      for page in ["istbpf-oci.8", "istbpf.json.5"] {
        let made = try run(
          "sh", "-c",
          "sed 's/@VERSION@/1.2.3/; s/@DATE@/2026-01-31/' \(Self.packaging)/man/\(page).md | go-md2man >\(directory)/\(page)"
        )
        try #require(made.status == 0, "\(made.errors)")
      }
      for page in try FileManager.default.contentsOfDirectory(atPath: directory) {
        let rendered = try run("groff", "-man", "-Tutf8", "-ww", "-z", "\(directory)/\(page)")
        #expect(rendered.status == 0 && rendered.errors.isEmpty, "\(page): \(rendered.errors)")
      }
      let text = try run(
        "sh", "-c", "groff -man -Tascii \(directory)/istbpf-uninstall.1 | sed 's/.\\x08//g'")
      #expect(text.output.contains("--keep-registry"), "\(text.output)")
      #expect(text.output.contains("Kill the instances that still run."), "\(text.output)")
    }
  }

  @Test("systemd takes the unit without a complaint")
  func unit() throws {
    try withDirectory { directory in
      let unit = try String(
        contentsOfFile: "\(Self.packaging)/systemd/istbpfd.service", encoding: .utf8)
      #expect(unit.contains("ExecStart=/usr/sbin/istbpfd\n"))
      let path = "\(directory)/istbpfd.service"
      try Data(
        unit.replacing(
          "ExecStart=/usr/sbin/istbpfd\n", with: "ExecStart=\(try Product.istbpfd())\n"
        )
        .utf8
      ).write(to: URL(fileURLWithPath: path))
      let verified = try run("systemd-analyze", "verify", "--man=no", path)
      #expect(
        !(verified.output + verified.errors).contains("istbpfd.service"), "\(verified.errors)")
    }
  }

  @Test(
    "The package's scripts are shell that dash takes, and know each way in which dpkg calls them")
  func scripts() throws {
    for name in ["preinst", "postinst", "prerm", "postrm"] {
      let path = "\(Self.packaging)/debian/\(name)"
      let checked = try run("dash", "-n", path)
      #expect(checked.status == 0, "\(checked.errors)")
    }
    // Calls that must change nothing.
    for (name, words) in [
      ("preinst", ["abort-upgrade", "1"]), ("postinst", ["abort-remove"]),
      ("prerm", ["failed-upgrade", "1"]), ("postrm", ["disappear", "x", "1"]),
    ] {
      let called = try run(["dash", "\(Self.packaging)/debian/\(name)"] + words)
      #expect(called.status == 0 && called.errors.isEmpty, "\(name): \(called.errors)")
    }
  }

  @Test("The completions are such that their shells take them")
  func completions() throws {
    try withDirectory { directory in
      for program in [try Product.istbpf(), try Product.istbpfd()] {
        let bash = try run(program, "--generate-completion-script", "bash")
        try Data(bash.output.utf8).write(to: URL(fileURLWithPath: "\(directory)/bash"))
        let checked = try run("bash", "-n", "\(directory)/bash")
        #expect(checked.status == 0 && bash.output.contains("complete"), "\(checked.errors)")
        for shell in ["zsh", "fish"] {
          #expect(try run(program, "--generate-completion-script", shell).output.count > 1000)
        }
      }
    }
  }
}
