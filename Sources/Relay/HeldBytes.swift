import Glibc

/// Bytes that a socket has not taken: at most one batch. The memory exists only while there are some.
struct HeldBytes {
  private var storage: UnsafeMutableRawPointer?
  private var start = 0
  private var end = 0

  var isEmpty: Bool { start == end }
  var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: storage.map { $0 + start }, count: end - start)
  }

  /// Keeps a copy of `bytes`; for when nothing is held.
  mutating func hold(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
    let storage = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 64)
    memcpy(storage, base, bytes.count)
    (self.storage, start, end) = (storage, 0, bytes.count)
  }

  /// The first `count` are gone.
  mutating func drop(_ count: Int) {
    start += count
    if start == end { clear() }
  }

  mutating func clear() {
    storage?.deallocate()
    (storage, start, end) = (nil, 0, 0)
  }
}
