import ArgumentParser
import EngineConfiguration
import Foundation
import LinuxSystem

/// The runtime of container engines.
struct RuntimeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "runtime", abstract: "Tell container engines of istbpf-oci.",
    subcommands: [Configure.self])

  struct Configure: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "configure",
      abstract: "Make istbpf-oci a runtime of a container engine, named istbpf.",
      discussion: """
        Edits the engine's configuration, or writes a file of its own where the engine reads such, and says what to \
        reload. What is in the file stays. Containers without a deployment and a service are passed on to runc or \
        crun unchanged, so that it may be the default.

        docker: /etc/docker/daemon.json. podman: /etc/containers/containers.conf.d/50-istbpf.conf. containerd \
        (its CRI plugin): /etc/containerd/config.toml. cri-o: /etc/crio/crio.conf.d/50-istbpf.conf.
        """)

    @Option(help: "The engine: docker, podman, containerd or cri-o.")
    var engine: ConfigurableEngine
    @Flag(
      name: .customLong("default"), help: "Containers for which no runtime is named get it too.")
    var isDefault = false
    @Flag(help: "Take it out again.")
    var undo = false
    @Flag(help: "Print the file as it would be, and change nothing.")
    var dryRun = false
    @Flag(help: "With --undo: change nothing, and fail where there is something to take out.")
    var check = false
    @Option(
      help: ArgumentHelp(
        "Where istbpf-oci is. (default: beside this program)", valueName: "path"))
    var runtimePath: String?
    @Option(help: ArgumentHelp("Edit this file instead.", valueName: "path"))
    var configFile: String?

    func validate() throws {
      guard !undo || (!isDefault && runtimePath == nil) else {
        throw ValidationError("--undo takes neither --default nor --runtime-path")
      }
      guard !check || (undo && !dryRun) else {
        throw ValidationError("--check is for --undo, without --dry-run")
      }
    }

    func run() throws {
      try failing {
        let path = configFile ?? engine.standardPath
        let file = EditedFile(path: path)
        let old = try file.read()
        let new: String?
        do {
          new =
            try undo
            ? engine.editor.removing(from: old)
            : engine.editor.adding(
              RuntimeEntry(path: try runtime(), isDefault: isDefault), to: old)
        } catch let problem as ConfigurationProblem {
          // The engine cannot read it either, and it is not for this to say so.
          if check, old?.contains("istbpf") != true { return }
          throw ConfigurationFailure(description: "\(path): \(problem)")
        }
        if check {
          guard new == old else {
            throw ConfigurationFailure(
              description: "\(path) makes istbpf-oci a runtime of \(engine.rawValue)")
          }
          return
        }
        if dryRun { return show(new, path) }
        guard new != old else { return print("\(path) is as it should be: nothing was changed") }
        try file.write(new)
        print(new == nil ? "removed \(path)" : "wrote \(path)")
        if let reload = engine.reload { print("so that \(engine.rawValue) reads it: \(reload)") }
        if !undo, !isDefault { print("to use it: \(engine.use)") }
      }
    }

    private func show(_ new: String?, _ path: String) {
      guard let new else { return print("\(path) would not exist") }
      print(new, terminator: "")
    }

    private func runtime() throws -> String {
      let path = try runtimePath ?? Self.installedPath()
      guard path.hasPrefix("/"), FileManager.default.isExecutableFile(atPath: path) else {
        throw ConfigurationFailure(
          description:
            "there is no program \(path): name istbpf-oci by its absolute path with --runtime-path")
      }
      return path
    }

    /// Beside this program, as the build leaves it; or /usr/bin/istbpf-oci for /usr/lib/istbpf/istbpf, as a package
    /// has them.
    private static func installedPath() throws -> String {
      let directory = URL(
        fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(
          atPath: "/proc/self/exe")
      ).deletingLastPathComponent()
      let packaged = directory.appendingPathComponent("../../bin/istbpf-oci").standardized.path
      return directory.lastPathComponent == "istbpf"
        && FileManager.default.isExecutableFile(atPath: packaged)
        ? packaged : directory.appendingPathComponent("istbpf-oci").path
    }
  }
}

extension ConfigurableEngine: ExpressibleByArgument {}

/// Why an engine was not configured.
struct ConfigurationFailure: Error, CustomStringConvertible {
  let description: String
}

/// A text file that is replaced whole, or removed.
private struct EditedFile {
  let path: String

  /// Its text; nil where there is none. Throws `ConfigurationFailure`.
  func read() throws -> String? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    do { return try String(contentsOfFile: path, encoding: .utf8) } catch {
      throw ConfigurationFailure(
        description: "cannot read \(path): \(error.localizedDescription)")
    }
  }

  /// Writes it in one step, with owner and mode as they were, or removes it for nil. A symbolic link stays one.
  /// Throws `ConfigurationFailure`.
  func write(_ text: String?) throws {
    let target = URL(fileURLWithPath: path).resolvingSymlinksInPath()
    do {
      guard let text else { return try FileManager.default.removeItem(at: target) }
      try FileManager.default.createDirectory(
        at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
      try SmallFile.replace(target.path, with: Array(text.utf8), mode: 0o644)
    } catch {
      let reason = (error as? SystemError).map { "\($0)" } ?? error.localizedDescription
      throw ConfigurationFailure(description: "cannot change \(path): \(reason)")
    }
  }
}
