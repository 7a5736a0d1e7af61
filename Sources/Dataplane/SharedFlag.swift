import CLibbpf
import Glibc
import Synchronization

/// The first value of an array map that is mapped into this process, as a flag that BPF programs read: to
/// set it takes no system call.
///
/// Sendable, which the compiler cannot see, since the memory is read and written atomically.
final class SharedFlag: @unchecked Sendable {
  private static let size = Int(sysconf(Int32(_SC_PAGESIZE)))
  private let memory: UnsafeMutableRawPointer

  /// Maps the map that is pinned at `path`, whose values are 32-bit numbers.
  init(pinnedAt path: String) throws(DataplaneError) {
    let descriptor = bpf_obj_get(path)
    guard descriptor >= 0 else { throw .failed("open", path, descriptor) }
    defer { close(descriptor) }
    let memory = mmap(nil, Self.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else { throw .failed("map", path, -errno) }
    self.memory = memory
  }

  deinit { munmap(memory, Self.size) }

  /// Sets the flag. What this thread reads later is read after programs can see it.
  func set(_ isSet: Bool) {
    let flag = memory.assumingMemoryBound(to: Atomic<UInt32>.self)
    flag.pointee.store(isSet ? 1 : 0, ordering: .sequentiallyConsistent)
  }
}
