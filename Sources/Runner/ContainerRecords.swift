import Foundation
import LinuxSystem
import Model

/// The files that say which cgroups of engines are instances. They go with a restart of the machine,
/// as the cgroups do.
struct ContainerRecords: Sendable {
  let directory: String

  /// The record of the instance with the link number `ifindex`; nil where it is no container's.
  func record(of ifindex: Int32) -> ContainerRecord? { read(path(of: ifindex)) }

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

  /// Every record there is, by link number.
  func all() throws -> [Int32: ContainerRecord] {
    var records: [Int32: ContainerRecord] = [:]
    for name in try DirectoryListing.names(in: directory) {
      guard let ifindex = Int32(name.prefix { $0 != "." }), let record = record(of: ifindex)
      else { continue }
      records[ifindex] = record
    }
    return records
  }

  /// Whether a process runs in any container's cgroup, or that cannot be told.
  var areAnyPopulated: Bool {
    guard let records = try? all() else { return true }
    return records.values.contains { record in
      let cgroup = Cgroup(path: record.cgroupPath)
      return cgroup.exists && (try? cgroup.isPopulated()) != false
    }
  }

  private func path(of ifindex: Int32) -> String { "\(directory)/\(ifindex).json" }

  private func read(_ path: String) -> ContainerRecord? {
    guard let text = try? SmallFile.bytes(of: path) else { return nil }
    return try? JSONDecoder().decode(ContainerRecord.self, from: Data(text))
  }
}
