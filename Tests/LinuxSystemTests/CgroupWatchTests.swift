import Foundation
import LinuxSystem
import TestSupport
import Testing

@Suite("Cgroup watch", .timeLimit(.minutes(5)))
struct CgroupWatchTests {
  @Test("A watch tells when the last process of a cgroup has ended, in a cgroup inside it too")
  func lastProcess() async throws {
    try await NamespaceLaboratory.with { laboratory in
      let (cgroup, watch) = (try laboratory.cgroup(), try CgroupWatch())
      let inner = cgroup.child("inner")
      try inner.create()
      let command = try RunningCommand(["sleep", "60"])
      try inner.add(command.processID)
      try watch.add(cgroup)
      command.stop()
      #expect(await watch.emptied.first { _ in true } == cgroup)
    }
  }

  @Test("A cgroup whose process ended before the watch was added is delivered at once")
  func processEndedBefore() async throws {
    try await NamespaceLaboratory.with { laboratory in
      let (cgroup, watch) = (try laboratory.cgroup(), try CgroupWatch())
      let command = try RunningCommand(["sleep", "60"])
      try cgroup.add(command.processID)
      command.stop()
      try watch.add(cgroup)
      #expect(await watch.emptied.first { _ in true } == cgroup)
    }
  }

  @Test("A cgroup that awaits its first process is delivered after that one, not before")
  func awaitingFirstProcess() async throws {
    try await NamespaceLaboratory.with { laboratory in
      let (first, second) = (try laboratory.cgroup(), try laboratory.cgroup())
      let watch = try CgroupWatch()
      try watch.add(first, awaitingFirstProcess: true)
      // Empty already, so it is delivered first if `first` is not.
      try watch.add(second)
      var emptied = watch.emptied.makeAsyncIterator()
      #expect(await emptied.next() == second)
      let command = try RunningCommand(["sleep", "60"])
      try first.add(command.processID)
      command.stop()
      #expect(await emptied.next() == first)
    }
  }

  @Test("One watch serves fifty cgroups whose processes end at once")
  func many() async throws {
    try await NamespaceLaboratory.with { laboratory in
      let (parent, watch) = (try laboratory.cgroup(), try CgroupWatch())
      var expected: Set<Cgroup> = []
      for number in 0..<50 {
        let cgroup = parent.child("\(number)")
        try cgroup.create()
        let command = try RunningCommand(["sleep", "60"])
        laboratory.atEnd { command.stop() }
        try cgroup.add(command.processID)
        try watch.add(cgroup)
        expected.insert(cgroup)
      }
      try parent.kill()
      for await cgroup in watch.emptied {
        #expect(expected.remove(cgroup) != nil)
        if expected.isEmpty { break }
      }
    }
  }

  @Test("Stopping ends the stream, and a removed cgroup is not delivered")
  func stop() async throws {
    try await NamespaceLaboratory.with { laboratory in
      let (cgroup, watch) = (try laboratory.cgroup(), try CgroupWatch())
      let command = try RunningCommand(["sleep", "60"])
      try cgroup.add(command.processID)
      try watch.add(cgroup)
      watch.remove(cgroup)
      command.stop()
      watch.stop()
      #expect(await watch.emptied.first { _ in true } == nil)
    }
  }

  @Test("Watching a cgroup that does not exist is an error")
  func missing() throws {
    try requireRoot()
    let missing = try CgroupHierarchy.find().cgroup("no-such-cgroup")
    let watch = try CgroupWatch()
    #expect(throws: SystemError.self) { try watch.add(missing) }
  }
}
