import Foundation

/// The certificates of the front door: of each, the chain and the key in one PEM, as HAProxy takes it.
struct CertificateFiles: Hashable, Sendable {
  /// By names of files, `NAME.pem`.
  let files: [String: Data]

  /// Reads `NAME.pem`, which holds both, and pairs of `NAME.crt` and `NAME.key`; other files are passed
  /// over. Throws `FrontDoorProblem` where there is none, or a `.crt` has no `.key`.
  init(directory: String) throws {
    let names: [String]
    do {
      names = try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    } catch {
      throw FrontDoorProblem(
        "cannot read the directory of certificates: \(error.localizedDescription)")
    }
    func contents(_ name: String) throws -> Data {
      do {
        return try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))
      } catch {
        throw FrontDoorProblem("cannot read \(directory)/\(name): \(error.localizedDescription)")
      }
    }
    var files: [String: Data] = [:]
    for name in names where name.hasSuffix(".pem") { files[name] = try contents(name) }
    for name in names where name.hasSuffix(".crt") {
      let stem = name.dropLast(4)
      guard names.contains("\(stem).key") else {
        throw FrontDoorProblem("\(directory)/\(name) has no \(stem).key beside it")
      }
      files["\(stem).pem"] = try contents(name) + Data("\n".utf8) + contents("\(stem).key")
    }
    guard !files.isEmpty else {
      throw FrontDoorProblem(
        "\(directory) has no certificate: a NAME.pem, or a NAME.crt and its NAME.key, is needed")
    }
    self.files = files
  }
}

/// Why the front door is not as it should be.
struct FrontDoorProblem: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
