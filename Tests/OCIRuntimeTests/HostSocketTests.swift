import Foundation
import TestSupport
import Testing

@testable import OCIRuntime

@Suite("Sockets of the host's programs", .timeLimit(.minutes(2)))
struct HostSocketTests {
  /// A program that has bound a relative name in a directory of its own, then left it, and done `more`.
  private func withSocket(
    _ more: String = "", body: (_ directory: String, _ name: String) throws -> Void
  ) throws {
    let name = "s\(UInt32.random(in: .min ... .max))"
    let directory = "/tmp/istbpf-sockets-\(name)"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let program = try Conversation([
      "/usr/bin/python3", "-c",
      """
      import os, socket, sys, time
      directory, name = sys.argv[1:3]
      os.chdir(directory)
      server = socket.socket(socket.AF_UNIX)
      server.bind(name)
      server.listen()
      os.chdir("/")
      bound, moved = directory + "/" + name, directory + "/moved"
      exec(sys.argv[3])
      print("listens", flush=True)
      time.sleep(100)
      """, directory, name, more,
    ])
    defer { program.stop() }
    #expect(program.awaitLine() == "listens", "\(program.errorText)")
    try body(directory, name)
  }

  private func found(in directory: String) throws -> HostSockets.Found {
    try HostSockets.find { $0.hasPrefix(directory) }
  }

  @Test("One with a relative name is where it was bound, whatever its program's directory is now")
  func left() throws {
    try withSocket { directory, name in
      let found = try found(in: directory)
      #expect(found.powerful == ["\(directory)/\(name)"])
      #expect(!found.unplaced.contains(name))
    }
  }

  @Test("One that was moved is where it is now")
  func moved() throws {
    try withSocket("os.rename(bound, moved)") { directory, name in
      let found = try found(in: directory)
      #expect(found.powerful == ["\(directory)/moved"])
      #expect(!found.unplaced.contains(name))
    }
  }

  @Test("A program in a directory with another's socket of that name is not taken for its owner")
  func otherDirectory() throws {
    try withSocket { other, _ in
      let more = """
        import glob
        os.link(glob.glob("\(other)/*")[0], "\(other)/" + name)
        os.chdir("\(other)")
        """
      try withSocket(more) { directory, name in
        let found = try self.found(in: directory)
        #expect(found.powerful == ["\(directory)/\(name)"])
      }
    }
  }

  @Test("One that was removed is nowhere")
  func removed() throws {
    try withSocket("os.unlink(bound)") { directory, name in
      let found = try found(in: directory)
      #expect(found.powerful.isEmpty && !found.unplaced.contains(name))
    }
  }

  @Test("One with a second name, or that no process has, is to be looked for")
  func unplaced() throws {
    try withSocket("os.link(bound, moved)") { directory, name in
      let found = try found(in: directory)
      #expect(!found.powerful.isEmpty && found.unplaced.contains(name))
      #expect(try SocketSearch.find(below: directory).sorted() == ["moved", name].sorted())
    }
    let underWay = """
      ends = socket.socketpair()
      socket.send_fds(ends[0], [b"x"], [server.fileno()])
      server.close()
      """
    try withSocket(underWay) { directory, name in
      let found = try found(in: directory)
      #expect(found.powerful.isEmpty && found.unplaced.contains(name))
    }
  }
}
