import Foundation
import Glibc

/// A service's configuration file as it was named on the command line.
struct ConfigurationFile {
  /// What it is called where nothing else is said.
  static let name = "warp.config.json"
  /// The form that needs Node, which this version does not evaluate.
  private static let javaScriptName = "warp.config.js"

  let path: String
  let contents: Data

  /// The name of the directory that holds it, which is the service's where the file gives none.
  let directoryName: String

  /// Reads the file at `path`, or the one in the directory at `path`.
  init(path: String) throws {
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw Problem(description: "there is no file or directory \(path)")
    }
    var url = URL(fileURLWithPath: path)
    if isDirectory.boolValue {
      let script = url.appendingPathComponent(Self.javaScriptName).path
      url.appendPathComponent(Self.name)
      if !FileManager.default.fileExists(atPath: url.path) {
        let found = FileManager.default.fileExists(atPath: script)
        throw Problem(
          description: found
            ? "\(path) has a \(Self.javaScriptName), which this version does not read yet: write its "
              + "values into a \(Self.name) beside it"
            : "\(path) has no \(Self.name)")
      }
    }
    guard url.pathExtension == "json" else {
      throw Problem(description: "\(path) is no JSON file: a \(Self.name) is needed")
    }
    self.path = url.relativePath
    do {
      contents = try Data(contentsOf: url)
    } catch {
      throw Problem(description: "cannot read \(url.path): \(String(cString: strerror(errno)))")
    }
    directoryName = url.standardizedFileURL.deletingLastPathComponent().lastPathComponent
  }

  /// What is wrong with the path.
  struct Problem: Error, CustomStringConvertible {
    let description: String
  }
}
