import Foundation
import LinuxSystem
import Model

/// The files that say which cgroups of engines are instances. They go with a restart of the machine,
/// as the cgroups do.
struct ContainerRecords: Sendable {
  let directory: String

  /// The record of the instance with the link number `ifindex`; nil where it is no container's. Throws
  /// `RunnerError.damagedRecord`: taken for none, an instance would be looked for in another cgroup, and
  /// its number given away while it runs.
  func record(of ifindex: Int32) throws -> ContainerRecord? {
    let path = path(of: ifindex)
    do {
      return try JSONDecoder().decode(
        ContainerRecord.self, from: Data(try SmallFile.bytes(of: path)))
    } catch let error as SystemError where error.errno == .noSuchFileOrDirectory {
      return nil
    } catch {
      throw RunnerError.damagedRecord(path: path, problem: Self.text(of: error))
    }
  }

  private static func text(of error: any Error) -> String {
    error is DecodingError ? "it is not JSON as istbpfd writes it" : "\(error)"
  }

  /// Writes a record whole.
  func write(_ record: ContainerRecord, of ifindex: Int32) throws {
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try JSONEncoder().encode(record)
      .write(to: URL(fileURLWithPath: path(of: ifindex)), options: .atomic)
  }

  /// Removes a record; not an error where there is none.
  func remove(of ifindex: Int32) throws {
    let path = path(of: ifindex)
    if SmallFile.exists(path) { try FileManager.default.removeItem(atPath: path) }
  }

  /// Every record there is, by link number. Throws as `record` does.
  func all() throws -> [Int32: ContainerRecord] {
    var records: [Int32: ContainerRecord] = [:]
    for name in try DirectoryListing.names(in: directory) {
      guard let ifindex = Int32(name.prefix { $0 != "." }), let record = try record(of: ifindex)
      else { continue }
      records[ifindex] = record
    }
    return records
  }

  /// Whether a process runs in any container's cgroup, or that cannot be told.
  var areAnyPopulated: Bool {
    do {
      return try all().values.contains { try Cgroup(path: $0.cgroupPath).hasProcesses() }
    } catch {
      return true
    }
  }

  private func path(of ifindex: Int32) -> String { "\(directory)/\(ifindex).json" }
}
