import Foundation
import LinuxSystem
import Model

/// The names outside that istbpfd wrote down, which is more than the kernel's maps have.
struct SavedNames {
  private var names: [SavedName] = []

  /// Those of a directory; those that cannot be read are left out.
  init(directory: String) {
    guard let files = try? DirectoryListing.names(in: directory) else { return }
    for file in files.sorted() {
      // It may go while it is read.
      guard let bytes = try? SmallFile.bytes(of: "\(directory)/\(file)"),
        let name = try? JSONDecoder().decode(SavedName.self, from: Data(bytes))
      else { continue }
      names.append(name)
    }
  }

  /// A map with a column for the names of the addresses, where it is `egress`.
  func added(to dump: ShownMap) -> ShownMap {
    guard dump.map == "egress" else { return dump }
    let rows = dump.rows.map { row in
      let values = Dictionary(
        zip(dump.columns, row), uniquingKeysWith: { first, _ in first })
      let service = "\(values["deployment"] ?? "")/\(values["service"] ?? "")"
      let address = (values["rule"] ?? "").components(separatedBy: "/32:")
      let found = names.filter {
        address.count == 2 && $0.services.contains(service)
          && ($0.addresses.contains(address[0]) || $0.former[address[0]] != nil)
      }
      return row + [found.isEmpty ? "-" : found.map(\.name).joined(separator: " ")]
    }
    return ShownMap(map: dump.map, columns: dump.columns + ["names"], rows: rows)
  }
}

/// A map as it is shown.
struct ShownMap {
  let map: String
  let columns: [String]
  let rows: [[String]]
}
