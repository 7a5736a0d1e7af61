import CDataplaneABI
import CLibbpf
import Foundation
import Glibc
import Model
import Synchronization

/// The programs of `bpf/`, loaded into the kernel, with their maps pinned or, where they were
/// pinned already, adopted.
///
/// Sendable, which the compiler cannot see, because libbpf's object is touched by `init` and `deinit` only;
/// in between only descriptors are used, which the kernel guards.
final class BPFObject: @unchecked Sendable {
  private let object: OpaquePointer
  private let programs: [String: Int32]

  /// Loads an embedded object for a range of addresses. Maps are pinned in `directory`, which must lie on
  /// bpffs.
  convenience init(
    base64: String = istbpfObjectBase64, pinnedIn directory: String, plan: AddressPlan
  ) throws(DataplaneError) {
    try self.init(base64: base64, pinnedIn: directory) { opened throws(DataplaneError) in
      try Self.set(plan.base.rawValue, in: ".rodata", of: opened)
    }
  }

  /// The same, after `prepare` has set what is to be set before the kernel sees it.
  init(
    base64: String, pinnedIn directory: String,
    _ prepare: (OpaquePointer) throws(DataplaneError) -> Void
  ) throws(DataplaneError) {
    guard let bytes = Data(base64Encoded: base64) else {
      throw .loadFailed(errno: EINVAL, log: "the embedded object is damaged")
    }
    LibbpfLog.capture()
    let opened = directory.withCString { directory in
      var options = bpf_object_open_opts()
      options.sz = optionsSize(through: \bpf_object_open_opts.pin_root_path)
      options.pin_root_path = directory
      return bytes.withUnsafeBytes { bpf_object__open_mem($0.baseAddress, $0.count, &options) }
    }
    guard let opened else { throw .loadFailed(errno: errno, log: LibbpfLog.tail()) }
    do throws(DataplaneError) {
      try prepare(opened)
      let result = bpf_object__load(opened)
      guard result == 0 else { throw .loadFailed(errno: -result, log: LibbpfLog.tail()) }
      programs = Self.programDescriptors(of: opened)
    } catch {
      bpf_object__close(opened)
      throw error
    }
    object = opened
  }

  deinit { bpf_object__close(object) }

  /// The descriptor of a program; it stays this object's.
  func program(_ name: String) throws(DataplaneError) -> Int32 {
    guard let descriptor = programs[name] else {
      throw .loadFailed(errno: ENOENT, log: "the embedded object has no program \(name)")
    }
    return descriptor
  }

  /// Sets the constant that a section holds, such as `range_base` of addressing.h: the verifier folds it
  /// into the code.
  static func set(
    _ value: UInt32, in section: String, of object: OpaquePointer
  ) throws(DataplaneError) {
    guard let map = bpf_object__find_map_by_name(object, section),
      bpf_map__value_size(map) == MemoryLayout<UInt32>.size
    else {
      throw .loadFailed(errno: EINVAL, log: "\(section) does not hold one constant")
    }
    let result = withUnsafeBytes(of: value) {
      bpf_map__set_initial_value(map, $0.baseAddress, $0.count)
    }
    guard result == 0 else { throw .loadFailed(errno: -result, log: "\(section) cannot be set") }
  }

  /// Has no map made or opened but those named.
  static func useOnly(
    _ names: Set<String>, of object: OpaquePointer
  ) throws(DataplaneError) {
    var map = bpf_object__next_map(object, nil)
    while let current = map {
      map = bpf_object__next_map(object, current)
      guard let name = bpf_map__name(current).map({ String(cString: $0) }), !names.contains(name)
      else { continue }
      let result = bpf_map__set_autocreate(current, false)
      guard result == 0 else {
        throw .loadFailed(errno: -result, log: "\(name) cannot be left out")
      }
    }
  }

  private static func programDescriptors(of object: OpaquePointer) -> [String: Int32] {
    var descriptors: [String: Int32] = [:]
    var program = bpf_object__next_program(object, nil)
    while let current = program {
      if let name = bpf_program__name(current) {
        descriptors[String(cString: name)] = bpf_program__fd(current)
      }
      program = bpf_object__next_program(object, current)
    }
    return descriptors
  }
}

/// What libbpf says, kept for the error that follows: it would go to stderr otherwise.
private enum LibbpfLog {
  private static let text = Mutex("")

  static func capture() {
    text.withLock { $0 = "" }
    libbpf_set_print { level, format, arguments in
      guard level == LIBBPF_WARN, let format, let arguments else { return 0 }
      var line = [CChar](repeating: 0, count: 16384)
      let length = vsnprintf(&line, line.count, format, arguments)
      let said = String(
        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      LibbpfLog.text.withLock { $0 += said }
      return length
    }
  }

  /// The last lines: the verifier's verdict stands at the end.
  static func tail() -> String {
    text.withLock { $0.split(separator: "\n").suffix(25).joined(separator: "\n") }
  }
}
