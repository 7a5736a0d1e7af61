import CLinux
import LinuxSystem

/// A pipe through which `splice` moves bytes.
final class Pipe {
  /// The most bytes that are put into one.
  static let capacity = 131_072

  private let readEnd: OwnedDescriptor
  private let writeEnd: OwnedDescriptor
  /// The bytes inside.
  var count = 0

  init?() {
    var (read, write): (Int32, Int32) = (-1, -1)
    guard linux_pipe(&read, &write, Int32(Self.capacity)) == 0 else { return nil }
    readEnd = OwnedDescriptor(owning: read)
    writeEnd = OwnedDescriptor(owning: write)
  }

  /// One of another process, with `count` bytes inside.
  init(
    input: consuming OwnedDescriptor, output: consuming OwnedDescriptor, count: Int
  ) {
    writeEnd = input
    readEnd = output
    self.count = count
  }

  var input: Int32 { writeEnd.rawValue }
  var output: Int32 { readEnd.rawValue }
}

/// Empty pipes: a stream has one only while bytes wait in it.
struct PipePool {
  private var pipes: [Pipe] = []
  private static let kept = 64

  /// An empty pipe; nil where descriptors are missing.
  mutating func take() -> Pipe? { pipes.popLast() ?? Pipe() }

  /// Takes `pipe` back; one that is not empty is closed instead.
  mutating func put(_ pipe: Pipe) {
    if pipe.count == 0, pipes.count < Self.kept { pipes.append(pipe) }
  }
}
