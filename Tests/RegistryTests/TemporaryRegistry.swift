import Foundation
import GRDB
import Model
import RegistrySQLite

/// A directory of its own for a test's registry, which goes away with the test.
final class TemporaryRegistry: Sendable {
  let directory: String
  var path: String { directory + "/registry.sqlite" }

  init() throws {
    var template = Array("/tmp/istbpf-registry-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
    directory = String(decoding: template.dropLast().map(UInt8.init), as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  func open() throws -> SQLiteRegistry { try SQLiteRegistry(path: path) }

  /// Does `sql` to the file behind the registry's back.
  func execute(_ sql: String) throws {
    let queue = try DatabaseQueue(path: path)
    try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
    try queue.close()
  }

  /// The octets of every file of the directory by name.
  func contents() throws -> [String: Data] {
    var contents: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
      contents[name] = FileManager.default.contents(atPath: "\(directory)/\(name)")
    }
    return contents
  }
}

let shop = name("shop")
let other = name("other")

/// A deployment's name that is known to be one.
func name(_ text: String) -> DeploymentName {
  do { return try DeploymentName(text) } catch { fatalError("\(error)") }
}

/// A service's name that is known to be one.
func service(_ text: String) -> ServiceName {
  do { return try ServiceName(text) } catch { fatalError("\(error)") }
}

/// Declarations with nothing but a name.
func declarations(_ names: String...) -> [ServiceDeclaration] {
  names.map { ServiceDeclaration(name: service($0)) }
}
