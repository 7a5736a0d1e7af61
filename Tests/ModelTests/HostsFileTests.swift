import Model
import Testing

@Suite struct HostsFileTests {
  private func service(_ name: String, _ number: ServiceNumber) throws -> Service {
    Service(deployment: try DeploymentName("shop"), name: try ServiceName(name), number: number)
  }

  private func entry(_ address: String, _ name: String) throws -> HostsFile.Entry {
    HostsFile.Entry(try #require(IPv4Address(address)), name)
  }

  /// The addresses by name as a program finds them that reads `contents`, line by line.
  private func read(_ contents: some Sequence<UInt8>) -> Set<String> {
    let lines = String(decoding: Array(contents), as: UTF8.self).split(separator: "\n")
    return Set(
      lines.map { $0.prefix { $0 != "#" }.split(separator: " ").joined(separator: " ") }
        .filter { !$0.isEmpty })
  }

  @Test func `it keeps its base and names every service`() throws {
    let services = [try service("ä", 3), try service("db", 1), try service("my_app", 2)]
    let entries = HostsFile.entries(of: services, plan: .standard)
    let text = HostsFile.text(base: "127.0.0.1 localhost", entries: entries)
    #expect(
      text.split(separator: "\n").map { $0.reversed().drop { $0 == " " }.reversed() }
        .map { String($0) } == [
          "127.0.0.1 localhost", HostsFile.begin, "198.18.1.1 db.warp", "198.18.2.1 my-app.warp",
          "198.18.3.1 xn--4ca.warp", HostsFile.end,
        ])
    #expect(text.hasSuffix("\n"))
    #expect(HostsFile.text(base: text, entries: entries) == text)
    #expect(HostsFile.text(base: "", entries: []).hasPrefix(HostsFile.begin))
    #expect(HostsFile.text(base: text + text, entries: entries).count == text.count + 20)
    let unended = "\(HostsFile.begin)\n192.0.2.1 mine\n"
    #expect(HostsFile.text(base: unended, entries: []).hasPrefix(unended))
  }

  @Test func `while it is changed, a reader finds what it said before or what it says then`() throws
  {
    var generator = SystemRandomNumberGenerator()
    var contents = Array(HostsFile.text(base: "127.0.0.1 localhost\n", entries: []).utf8)
    var before: Set<String> = ["127.0.0.1 localhost"]
    for round in 0..<24 {
      let entries = try (0..<Int.random(in: 0...6, using: &generator)).map { _ in
        try entry(
          "192.0.2.\(Int.random(in: 0...255, using: &generator))",
          String(repeating: "n", count: Int.random(in: 1...60, using: &generator)) + ".example")
      }
      let after = Set(entries.map(\.description)).union(["127.0.0.1 localhost"])
      let change = HostsFile.change(contents, to: entries) { _ in true }
      // Octet by octet, as they may come into the memory that a reader copies from.
      for write in change.writes {
        for (index, octet) in write.octets.enumerated() {
          let place = write.offset + index
          if place < contents.count { contents[place] = octet } else { contents.append(octet) }
          let seen = read(contents)
          #expect(seen.isSuperset(of: before) && seen.isSubset(of: before.union(after)), "\(round)")
        }
      }
      #expect(read(contents) == before.union(after))
      for offset in change.outdated {
        contents[offset] = HostsFile.silenced[0]
        #expect(read(contents).isSuperset(of: after))
      }
      #expect(read(contents) == after)
      #expect(HostsFile.change(contents, to: entries) { _ in true } == HostsFile.Change())
      before = after
    }
    #expect(contents.count < 10_000, "room is used again: \(contents.count)")
  }

  @Test func `room is not used again while somebody may be reading it`() throws {
    let old = try [entry("192.0.2.1", "a.example")]
    let contents = Array(HostsFile.text(base: "", entries: old).utf8)
    let change = HostsFile.change(contents, to: []) { _ in true }
    #expect(change.writes.isEmpty && change.outdated.count == 1)
    var silenced = contents
    silenced[change.outdated[0]] = HostsFile.silenced[0]
    let new = try [entry("203.0.113.255", "a.example")]
    let now = HostsFile.change(silenced, to: new) { _ in false }
    #expect(now.writes.allSatisfy { $0.offset >= silenced.count })
    let later = HostsFile.change(silenced, to: new) { _ in true }
    #expect(later.writes.allSatisfy { $0.offset < silenced.count })
  }

  @Test func `no line becomes one of those that ours stand between`() throws {
    let entries = [try entry("192.0.2.1", "a.example")]
    for theirs in ["! istbpf: end", "1 istbpf: end", "- istbpf: services of this deployment"] {
      var contents = Array("\(HostsFile.begin)\n\(theirs)\n1.2.3.4 old\n\(HostsFile.end)\n".utf8)
      let change = HostsFile.change(contents, to: entries) { _ in true }
      #expect(change.outdated.count == 1)
      for write in change.writes {
        let end = min(contents.count, write.offset + write.octets.count)
        contents.replaceSubrange(write.offset..<end, with: write.octets)
      }
      for offset in change.outdated { contents[offset] = HostsFile.silenced[0] }
      #expect(read(contents) == [theirs, "192.0.2.1 a.example"])
      #expect(HostsFile.change(contents, to: entries) { _ in true } == HostsFile.Change())
    }
  }

  @Test func `a last line without a line break counts`() throws {
    let old = Array("\(HostsFile.begin)\n1.2.3.4 old\n\(HostsFile.end)".utf8)
    let change = HostsFile.change(old, to: [try entry("192.0.2.1", "a.example")]) { _ in true }
    #expect(change.outdated == [HostsFile.begin.utf8.count + 1])
  }

  @Test func `lines of others are left as they are`() throws {
    let contents = Array("# no \\n at the end\n192.0.2.9 theirs".utf8)
    let change = HostsFile.change(contents, to: [try entry("192.0.2.1", "a.example")]) { _ in true }
    #expect(change.outdated.isEmpty && change.writes.allSatisfy { $0.offset >= contents.count })
    #expect(change.writes.first?.octets.first == UInt8(ascii: "\n"))
  }
}
