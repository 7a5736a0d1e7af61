import Foundation
import LinuxSystem
import Synchronization
import TestSupport
import Testing

@Suite("Mounts")
struct MountTests {
  /// Runs `body` with a directory, on a thread whose mounts end with it.
  private func with(_ body: (String) throws -> Void) throws {
    try requireRoot()
    let path = "/tmp/istbpf-mounts-\(getpid())-\(UInt32.random(in: 0...(.max)))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try DedicatedThread.run {
      try Mount.unshareNamespace()
      try Mount.makePrivate("/")
      try body(path)
    }
  }

  @Test("bpffs is mounted where there is none, and found where there is one")
  func bpffs() throws {
    try with { path in
      #expect(!BPFFileSystem.isMounted(at: path))
      try BPFFileSystem.mount(on: path)
      #expect(BPFFileSystem.isMounted(at: path))
      try BPFFileSystem.mount(on: path)
      #expect(try Mount.isMounted("bpf", at: path))
      #expect(try MountTable.current().entries.filter { $0.mountPoint == path }.count == 1)
    }
  }

  private final class Threads: Sendable {
    let arrived = Atomic(0)
    let mounted = Atomic(0)
    let ended = Atomic(0)
  }

  @Test("Several that find no bpffs at once mount it once, so that none hides what another pins")
  func bpffsAtOnce() throws {
    try with { path in
      for _ in 0..<20 {
        let threads = Threads()
        // Threads that this one makes see its mounts.
        for _ in 0..<4 {
          Thread.detachNewThread {
            threads.arrived.add(1, ordering: .relaxed)
            while threads.arrived.load(ordering: .relaxed) < 4 {}
            if (try? BPFFileSystem.mount(on: path)) != nil {
              threads.mounted.add(1, ordering: .relaxed)
            }
            threads.ended.add(1, ordering: .relaxed)
          }
        }
        while threads.ended.load(ordering: .relaxed) < 4 { usleep(1000) }
        #expect(threads.mounted.load(ordering: .relaxed) == 4)
        #expect(try MountTable.current().entries.filter { $0.mountPoint == path }.count == 1)
        while BPFFileSystem.isMounted(at: path) { try Mount.unmount(path) }
      }
    }
  }

  @Test("A read-only bpffs is an error that says how to remount it")
  func readOnly() throws {
    try with { path in
      try BPFFileSystem.mount(on: path)
      try Mount.remountReadOnly(path)
      let error = #expect(throws: SystemError.self) { try BPFFileSystem.mount(on: path) }
      #expect(error?.errno == .readOnlyFileSystem)
      #expect(error?.description.contains("remount,rw") == true)
    }
  }

  @Test("Without a directory to mount it on, bpffs is an error that asks for sysfs")
  func absent() throws {
    try with { path in
      let error = #expect(throws: SystemError.self) { try BPFFileSystem.mount(on: path + "/none") }
      #expect(error?.errno == .noSuchFileOrDirectory)
      #expect(error?.hint?.contains("sysfs") == true)
    }
  }

  @Test("A read-only bind mount refuses writes, and its source takes them")
  func bind() throws {
    try with { path in
      for name in ["source", "target"] {
        try FileManager.default.createDirectory(
          atPath: "\(path)/\(name)", withIntermediateDirectories: false)
      }
      try Mount.bind("\(path)/source", on: "\(path)/target")
      try Mount.remountReadOnly("\(path)/target")
      _ = try OwnedDescriptor(opening: "\(path)/source/file", flags: O_CREAT | O_WRONLY)
      #expect(SmallFile.exists("\(path)/target/file"))
      let error = #expect(throws: SystemError.self) {
        _ = try OwnedDescriptor(opening: "\(path)/target/other", flags: O_CREAT | O_WRONLY)
      }
      #expect(error?.errno == .readOnlyFileSystem)
    }
  }

  @Test("A cover hides what a directory holds")
  func cover() throws {
    try with { path in
      _ = try OwnedDescriptor(opening: "\(path)/file", flags: O_CREAT | O_WRONLY)
      try Mount.cover(path)
      #expect(!SmallFile.exists("\(path)/file"))
      try Mount.unmount(path)
      #expect(SmallFile.exists("\(path)/file"))
    }
  }
}
