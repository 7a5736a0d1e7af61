import Foundation
import Model
import Registry
import RegistrySQLite
import Testing

/// A tmpfs of 512 KiB on a test's directory, which goes away with the test.
private final class SmallDisk {
  let directory: String

  init(at directory: String) throws {
    self.directory = directory
    guard mount("istbpf-test", directory, "tmpfs", 0, "size=512k") == 0 else {
      throw POSIXError(.init(rawValue: errno) ?? .EIO)
    }
  }

  deinit { umount2(directory, Int32(MNT_DETACH)) }

  /// Leaves no room at all.
  func fill() throws {
    let descriptor = open(directory + "/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    let block = [UInt8](repeating: 0, count: 4096)
    while write(descriptor, block, block.count) > 0 {}
    guard errno == ENOSPC else { throw POSIXError(.init(rawValue: errno) ?? .EIO) }
  }

  func empty() { unlink(directory + "/filler") }
}

@Suite(.enabled(if: geteuid() == 0, "a small tmpfs is mounted, which needs root"))
struct DiskFullTests {
  @Test func `a full disk refuses changes, loses nothing and is usable again with room`()
    async throws
  {
    let files = try TemporaryRegistry()
    let disk = try SmallDisk(at: files.directory)
    let registry = try files.open()
    _ = try await registry.declare(declarations("app"), in: shop, replace: false)
    try disk.fill()
    // What is left of the last page of the journal may take some.
    var acknowledged: Set<Instance> = []
    var refusal: RegistryError?
    do {
      for _ in 0..<253 {
        acknowledged.insert(
          try await registry.allocateInstance(of: service("app"), in: shop, runner: "r1"))
      }
    } catch let error as RegistryError { refusal = error }
    guard case .full(files.path, _) = refusal else {
      Issue.record("\(String(describing: refusal))")
      return
    }
    #expect(refusal?.description.contains("disk may be full") == true)
    #expect(Set(try await registry.instances(of: shop)) == acknowledged)
    await #expect(throws: RegistryError.self) {
      try await registry.declare(declarations("a", "b"), in: other, replace: false)
    }
    #expect(try await registry.deployments().map(\.name) == [shop])

    disk.empty()
    let next = try await registry.allocateInstance(of: service("app"), in: shop, runner: "r1")
    #expect(!acknowledged.contains(next))
    acknowledged.insert(next)
    try registry.close()
    #expect(Set(try await files.open().instances()) == acknowledged)
  }

  @Test func `a registry cannot be made on a full disk and can with room`() async throws {
    let files = try TemporaryRegistry()
    let disk = try SmallDisk(at: files.directory)
    try disk.fill()
    let error = #expect(throws: RegistryError.self) { try files.open() }
    guard case .full(files.path, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    disk.empty()
    #expect(try await files.open().deployments().isEmpty)
  }
}
