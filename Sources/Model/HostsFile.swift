/// The hosts file of an instance: its own, with `<service>.warp` for every service of the deployment, and
/// the names outside that its service may connect to.
///
/// It is bound over /etc/hosts of a running instance, where a new file would not be seen, and programs read
/// it at any moment. So it is changed in place, in steps that leave a whole and true file each
/// (`change(_:to:reusable:)`).
public enum HostsFile {
  /// The line before ours.
  public static let begin = "# istbpf: services of this deployment"

  /// The line after ours.
  public static let end = "# istbpf: end"

  /// One line of ours: an address and a name.
  public struct Entry: Hashable, Sendable, CustomStringConvertible {
    /// The address.
    public let address: IPv4Address
    /// The name, in ASCII and without white space.
    public let name: String

    /// An entry from its parts.
    public init(_ address: IPv4Address, _ name: String) {
      self.address = address
      self.name = name
    }

    /// The line, without what fills it up.
    public var description: String { "\(address) \(name)" }
  }

  /// The entries of a deployment's services, by number.
  public static func entries(of services: [Service], plan: AddressPlan) -> [Entry] {
    services.sorted { $0.number < $1.number }
      .map { Entry(plan.serviceAddress($0.number), "\($0.name.hostName).warp") }
  }

  /// The text of a file that nobody reads yet.
  ///
  /// - Parameters:
  ///   - base: the file as it would be without IST; parts that earlier calls appended are dropped, so the
  ///     result of a call can be the base of the next.
  ///   - entries: what we add.
  /// - Returns: `base` with our part after it, ending in a line break.
  public static func text(base: String, entries: [Entry]) -> String {
    var lines = base.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last == "" { lines.removeLast() }
    // Without an end, someone edited the part; what follows its beginning may be theirs, so it stays.
    while let first = lines.firstIndex(of: begin), let last = lines[first...].firstIndex(of: end) {
      lines.removeSubrange(first...last)
    }
    lines.append(begin)
    lines += entries.map(line)
    lines.append(end)
    return lines.joined(separator: "\n") + "\n"
  }

  /// Filled up with blanks, so that another address of the name has room, and most other names.
  private static func line(_ entry: Entry) -> String {
    let text = "\(entry)"
    let most = "255.255.255.255 ".utf8.count + entry.name.utf8.count
    return text + String(repeating: " ", count: (most / 32 + 1) * 32 - 1 - text.utf8.count)
  }
}

// MARK: While it is read

extension HostsFile {
  /// Octets to write at a place in a file.
  public struct Write: Hashable, Sendable {
    /// Where, from the file's beginning.
    public let offset: Int
    /// What.
    public let octets: [UInt8]
  }

  /// How to change a file that programs read.
  ///
  /// A line of ours that begins with `#` says nothing and has room for another; it is filled while it says
  /// nothing, and begins to say something with the one octet that replaces the `#`. So a reader finds each
  /// line whole or not at all.
  public struct Change: Hashable, Sendable {
    /// What to write first, in this order: new lines, then the octets by which they begin to count.
    public var writes: [Write] = []
    /// Where lines are that say something else than they should, to be written over with `silenced` once
    /// nobody is in the midst of reading who has passed the place of a new line before it said something.
    public var outdated: [Int] = []

    /// Nothing to write.
    public init() {}
  }

  /// What makes a line of ours say nothing: its first octet.
  public static let silenced: [UInt8] = [UInt8(ascii: "#")]

  /// How to make a file with `contents` say of ours what `entries` are.
  ///
  /// - Parameters:
  ///   - contents: the file as it is.
  ///   - entries: what it is to say; an entry that stands there already is left where it is.
  ///   - isReusable: whether the line at an offset, which says nothing, has said nothing for so long that
  ///     nobody is in the midst of reading it.
  /// - Returns: what to write and where; nothing where the file says that already.
  public static func change(
    _ contents: [UInt8], to entries: [Entry], isReusable: (Int) -> Bool
  ) -> Change {
    var change = Change()
    var missing = Dictionary(
      entries.enumerated().map { ($0.element.description, $0.offset) },
      uniquingKeysWith: { first, _ in first })
    var free: [(offset: Int, length: Int)] = []
    for line in ownLines(contents) {
      let text = contents[line]
      if text.first == silenced[0] {
        if isReusable(line.lowerBound) { free.append((line.lowerBound, line.count)) }
      } else if missing.removeValue(forKey: trimmed(text)) == nil, beginsWithAddress(text) {
        change.outdated.append(line.lowerBound)
      }
    }
    var commits: [Write] = []
    var rest: [Entry] = []
    for entry in missing.sorted(by: { $0.value < $1.value }).map({ entries[$0.value] }) {
      var octets = Array(line(entry).utf8)
      guard let slot = free.firstIndex(where: { $0.length >= octets.count }) else {
        rest.append(entry)
        continue
      }
      let (offset, length) = free.remove(at: slot)
      octets += Array(repeating: UInt8(ascii: " "), count: length - octets.count)
      change.writes.append(Write(offset: offset + 1, octets: Array(octets.dropFirst())))
      commits.append(Write(offset: offset, octets: [octets[0]]))
    }
    if !rest.isEmpty {
      let (write, more) = appending(rest, to: contents)
      change.writes.append(write)
      commits += more
    }
    change.writes += commits
    return change
  }

  /// A part of its own at the file's end, with room for more.
  private static func appending(
    _ entries: [Entry], to contents: [UInt8]
  ) -> (Write, commits: [Write]) {
    var octets: [UInt8] = []
    if let last = contents.last, last != UInt8(ascii: "\n") { octets.append(UInt8(ascii: "\n")) }
    octets += Array("\(begin)\n".utf8)
    var commits: [Write] = []
    for entry in entries {
      let line = Array("\(line(entry))\n".utf8)
      commits.append(Write(offset: contents.count + octets.count, octets: [line[0]]))
      octets += silenced + line.dropFirst()
    }
    let room = Array("#\(String(repeating: " ", count: 62))\n".utf8)
    for _ in 0..<max(4, entries.count / 2) { octets += room }
    octets += Array("\(end)\n".utf8)
    return (Write(offset: contents.count, octets: octets), commits)
  }

  /// The lines between our own ones, without their line breaks.
  private static func ownLines(_ contents: [UInt8]) -> [Range<Int>] {
    let (begin, end) = (Array(begin.utf8), Array(end.utf8))
    var found: [Range<Int>] = []
    var open: [Range<Int>]?
    var start = 0
    while start < contents.count {
      // The last line may have no line break.
      let stop = contents[start...].firstIndex(of: UInt8(ascii: "\n")) ?? contents.count
      let line = contents[start..<stop]
      if line.elementsEqual(begin) {
        open = []
      } else if line.elementsEqual(end) {
        found += open ?? []
        open = nil
      } else if !line.isEmpty {
        open?.append(start..<stop)
      }
      start = stop + 1
    }
    return found
  }

  /// Whether a line may be one that we wrote. Another's stays as it is: with a `#` for its first octet it could
  /// become one of the lines that ours stand between.
  private static func beginsWithAddress(_ line: ArraySlice<UInt8>) -> Bool {
    func isDigit(_ octet: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(octet) }
    guard let first = line.first, let second = line.dropFirst().first else { return false }
    return isDigit(first) && (isDigit(second) || second == UInt8(ascii: "."))
  }

  private static func trimmed(_ line: ArraySlice<UInt8>) -> String {
    let kept = line.reversed().drop { $0 == UInt8(ascii: " ") }.reversed()
    return String(decoding: kept, as: UTF8.self)
  }
}
