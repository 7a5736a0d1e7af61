import Foundation
import Glibc
import TestSupport
import Testing

@testable import LinuxSystem

@Suite("Files")
struct FileTests {
  /// Runs `body` with a directory that goes afterwards.
  private func inDirectory(_ body: (String) throws -> Void) throws {
    let directory = "/tmp/istbpf-\(UUID())"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
  }

  @Test("A lock is seen to be held, by whichever process, without being taken")
  func locks() throws {
    try inDirectory { directory in
      let path = "\(directory)/lock"
      #expect(try !LockFile.isHeld(path), "there is no such file")
      try "1\n".write(toFile: path, atomically: false, encoding: .utf8)
      #expect(try !LockFile.isHeld(path))
      do {
        let lock = try LockFile(path: path)
        #expect(try LockFile.isHeld(path))
        let other = try run("flock", "--nonblock", path, "true")
        #expect(other.status != 0)
        #expect(try !LockFile.isHeld(directory), "another file")
        _ = consume lock
      }
      #expect(try !LockFile.isHeld(path))
    }
  }

  @Test("A file is the same by each of its paths, and another one where it is replaced")
  func identity() throws {
    try inDirectory { directory in
      let (path, link) = ("\(directory)/file", "\(directory)/link")
      #expect(FileIdentity(of: path) == nil)
      try "".write(toFile: path, atomically: false, encoding: .utf8)
      try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
      let first = try #require(FileIdentity(of: path))
      #expect(FileIdentity(of: link) == first)
      try "".write(toFile: "\(directory)/next", atomically: false, encoding: .utf8)
      #expect(rename("\(directory)/next", path) == 0)
      #expect(FileIdentity(of: link) != first)
      let own = try #require(FileIdentity.ofThisProgram)
      #expect(own == FileIdentity(of: "/proc/\(getpid())/exe"))
    }
  }
}
