import Foundation
import Glibc
import Model

/// A service's configuration file as it was named on the command line.
struct DeclarationFile {
  /// The form that the platform knows: a CommonJS module, which Node evaluates.
  static let moduleName = "warp.config.js"
  /// The form that needs no Node.
  static let dataName = "warp.config.json"

  let path: String

  /// The name of the directory that holds it, which is the service's where the file gives none.
  let directoryName: String

  /// What the caller should know of why it is this file; nil where there was no choice.
  let remark: String?

  /// The file at `path`, or the one in the directory at `path`: of the two forms the module, since it
  /// is the one that the platform reads, unless there is no Node to evaluate it.
  init(path: String, hasNode: Bool = NodeEvaluation.isPossible) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw Problem(description: "there is no file or directory \(path)")
    }
    let url = URL(fileURLWithPath: path)
    let file: URL
    if isDirectory.boolValue {
      (file, remark) = try Self.file(in: url, named: path, hasNode: hasNode)
    } else {
      (file, remark) = (url, nil)
    }
    self.path = file.relativePath
    directoryName = file.standardizedFileURL.deletingLastPathComponent().lastPathComponent
  }

  private static func file(
    in directory: URL, named path: String, hasNode: Bool
  ) throws -> (URL, remark: String?) {
    let module = directory.appendingPathComponent(moduleName)
    let data = directory.appendingPathComponent(dataName)
    switch (exists(module), exists(data)) {
    case (true, true) where hasNode:
      return (module, "\(path) has a \(dataName) too, which is not read")
    case (true, true):
      return (data, "\(path): \(dataName) is read, since there is no Node for \(moduleName)")
    case (true, false): return (module, nil)
    case (false, true): return (data, nil)
    case (false, false):
      throw Problem(description: "\(path) has no \(moduleName) and no \(dataName)")
    }
  }

  private static func exists(_ url: URL) -> Bool {
    FileManager.default.fileExists(atPath: url.path)
  }

  /// The service that it declares, and what its author should know; a module is evaluated for that.
  func declaration() async throws -> (declaration: ServiceDeclaration, warnings: [String]) {
    let (json, lines) = try await contents()
    return try ServiceDeclaration.parse(
      json: json, directoryName: directoryName, file: path, lines: lines)
  }

  /// JSON, and the lines of its keys where it is not the file itself.
  private func contents() async throws -> (json: Data, lines: [String: Int]?) {
    switch (path as NSString).pathExtension {
    case "json":
      do {
        return (try Data(contentsOf: URL(fileURLWithPath: path)), nil)
      } catch {
        throw Problem(description: "cannot read \(path): \(String(cString: strerror(errno)))")
      }
    case "js", "cjs":
      let value = try await NodeEvaluation.value(ofModule: path)
      return (value.json, value.lines)
    default:
      throw Problem(
        description: "\(path) is neither JavaScript nor JSON: a \(Self.moduleName) or a "
          + "\(Self.dataName) is needed")
    }
  }

  /// What is wrong with the path.
  struct Problem: Error, CustomStringConvertible {
    let description: String
  }
}
