import CLinux
import Glibc
import LinuxSystem
import SystemPackage

/// The keys of tunnels that are passed on, one after the other, in memory that is zeroed when this is let go.
///
/// They go beside the messages, since nobody can zero the copies that are made of a message.
package final class HandOverKeys {
  private static let size = MemoryLayout<linux_tls_keys>.stride
  /// The most that go with one batch: of both directions of each tunnel that a descriptor can be of.
  static let most = 2 * Int(linux_unix_most_descriptors)

  private let memory = UnsafeMutablePointer<linux_tls_keys>.allocate(capacity: most)
  /// How many there are.
  package private(set) var count = 0
  private var taken = 0

  package init() {
    memory.initialize(repeating: linux_tls_keys(), count: Self.most)
  }

  deinit {
    explicit_bzero(memory, Self.most * Self.size)
    memory.deallocate()
  }

  /// Adds a copy of `keys`, of which there are at most `most`.
  package func add(_ keys: UnsafePointer<linux_tls_keys>) {
    guard count < Self.most else { return }
    memory[count] = keys.pointee
    count += 1
  }

  /// Calls `body` with the next keys; nil where there are no more, or they are none.
  package func withNext<Value>(_ body: (UnsafePointer<linux_tls_keys>) -> Value?) -> Value? {
    guard taken < count else { return nil }
    taken += 1
    let keys = memory + taken - 1
    let length = keys.pointee.key_length
    return length == 16 || length == 32 ? body(keys) : nil
  }

  // MARK: - On a socket

  /// What there is, as bytes.
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: memory, count: count * Self.size)
  }

  /// Room for `size` bytes of keys, which there are then; nil where that is no number of keys.
  func room(for size: Int) -> UnsafeMutableRawBufferPointer? {
    guard size % Self.size == 0, size / Self.size <= Self.most else { return nil }
    count = size / Self.size
    return UnsafeMutableRawBufferPointer(start: memory, count: size)
  }
}
