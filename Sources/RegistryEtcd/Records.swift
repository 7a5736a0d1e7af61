import Foundation
import Model
import Registry

/// The value of a key, as JSON with its version in `v`.
protocol Record: Codable, Sendable, Hashable {}

/// A runner that is there.
struct RunnerRecord: Record {
  /// Made once for a state directory: tells a restart of this runner from another of its name.
  var owner: String
  var address: String
  /// The version of istbpf.
  var version: String
  /// Whether it is being emptied; left out where it is not, as by an istbpf that knows none.
  var isDrained: Bool?
}

/// An instance that runs; who and where is in the key.
struct EndpointRecord: Record {
  var serviceNumber: ServiceNumber
}

/// A service that is declared.
struct ServiceRecord: Record {
  var number: ServiceNumber
  var port: PortNumber
  var `private`: Bool
  var egress: [EgressRule]
  /// Left out where it is the standard, as by an istbpf that knows none.
  var timeout: RequestTimeout?

  init(_ service: Service) {
    number = service.number
    port = service.port
    `private` = service.isPrivate
    egress = service.egress
    timeout = service.timeout
  }

  func service(_ name: ServiceName, of deployment: DeploymentName) -> Service {
    Service(
      deployment: deployment, name: name, number: number, port: port, isPrivate: `private`,
      egress: egress, timeout: timeout)
  }
}

/// A record that this code would not have written.
struct UnreadableRecord: Error, Hashable {
  let detail: String
}

/// Records to and from the octets of a value.
enum RecordCoding {
  /// The version that this code writes, and the latest that it reads; a later one is passed over and never written over.
  ///
  /// Runners of one cluster are upgraded one after the other, so those of two versions read the same keys. A member that
  /// the earlier version can do without is optional and changes no version. What it cannot do without raises the version
  /// one release after all runners can read it: from then on this code reads both.
  static let version = 1

  static func encode(_ record: some Record) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return try encoder.encode(Versioned(v: version, record: record))
  }

  /// - Throws: `UnreadableRecord`.
  static func decode<R: Record>(_ type: R.Type = R.self, from value: Data) throws -> R {
    let decoder = JSONDecoder()
    do {
      let version = try decoder.decode(VersionOnly.self, from: value).v
      guard version <= Self.version else {
        throw UnreadableRecord(
          detail: "it has version \(version), and this istbpf knows up to \(Self.version)")
      }
      return try decoder.decode(type, from: value)
    } catch let error as UnreadableRecord { throw error } catch {
      let text = quoted(String(decoding: value.prefix(200), as: UTF8.self))
      throw UnreadableRecord(detail: "it is no record of istbpf: \(text)")
    }
  }

  private struct VersionOnly: Codable { var v: Int }

  /// The record's own keys and `v` side by side.
  private struct Versioned<R: Record>: Encodable {
    var v: Int
    var record: R

    private enum Key: String, CodingKey { case v }

    func encode(to encoder: any Encoder) throws {
      try record.encode(to: encoder)
      var container = encoder.container(keyedBy: Key.self)
      try container.encode(v, forKey: .v)
    }
  }
}

extension String {
  /// Whether the octets are the same; `==` takes canonically equivalent texts as equal.
  func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
