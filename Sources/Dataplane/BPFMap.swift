import CLibbpf
import Glibc

/// A pinned BPF map, with keys and values as `dataplane_abi.h` declares them.
final class BPFMap<Key: BitwiseCopyable, Value: BitwiseCopyable>: Sendable {
  let name: String
  private let descriptor: Int32

  /// Opens what is pinned as `directory/name`.
  init(_ name: String, pinnedIn directory: String) throws(DataplaneError) {
    self.name = name
    descriptor = bpf_obj_get("\(directory)/\(name)")
    guard descriptor >= 0 else { throw .failed("open", "\(directory)/\(name)", descriptor) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The value at `key`; nil where there is none.
  func value(at key: Key) throws(DataplaneError) -> Value? {
    var result: Int32 = 0
    let value = withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { slot -> Value? in
      withUnsafePointer(to: key) {
        result = bpf_map_lookup_elem(descriptor, $0, slot.baseAddress)
      }
      return result == 0 ? slot[0] : nil
    }
    guard result == 0 || result == -ENOENT else { throw .failed("read", "map \(name)", result) }
    return value
  }

  /// Sets the value at `key`, as one atomic step for whoever reads it.
  func set(_ value: Value, at key: Key) throws(DataplaneError) {
    let result = withUnsafePointer(to: key) { key in
      withUnsafePointer(to: value) { value in
        bpf_map_update_elem(descriptor, key, value, UInt64(BPF_ANY))
      }
    }
    guard result == 0 else { throw .failed("write", "map \(name)", result) }
  }

  /// Takes `key` out; no error where it is not there.
  func remove(_ key: Key) throws(DataplaneError) {
    let result = withUnsafePointer(to: key) { bpf_map_delete_elem(descriptor, $0) }
    guard result == 0 || result == -ENOENT else {
      throw .failed("delete from", "map \(name)", result)
    }
  }

  /// All keys, as far as they do not change meanwhile.
  func keys() throws(DataplaneError) -> [Key] {
    var keys: [Key] = []
    var result: Int32 = 0
    withUnsafeTemporaryAllocation(of: Key.self, capacity: 1) { next in
      var previous: Key?
      while true {
        if var key = previous {
          result = bpf_map_get_next_key(descriptor, &key, next.baseAddress)
        } else {
          result = bpf_map_get_next_key(descriptor, nil, next.baseAddress)
        }
        guard result == 0 else { return }
        keys.append(next[0])
        previous = next[0]
      }
    }
    guard result == -ENOENT else { throw .failed("list", "map \(name)", result) }
    return keys
  }

  /// All entries; one that is deleted meanwhile is left out.
  func entries() throws(DataplaneError) -> [(key: Key, value: Value)] {
    var entries: [(key: Key, value: Value)] = []
    for key in try keys() {
      if let value = try value(at: key) { entries.append((key, value)) }
    }
    return entries
  }
}
