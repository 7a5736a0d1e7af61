import CLinux
import Dispatch
import Glibc
import Synchronization
import SystemPackage

/// Tells when cgroups have lost their last process.
public final class CgroupWatch: Sendable {
  /// The cgroups that became empty, each once for every `add`. It ends with `stop` or this watch.
  public let emptied: AsyncStream<Cgroup>

  private let continuation: AsyncStream<Cgroup>.Continuation
  /// Unsafe only in name: Dispatch lets any thread cancel a source.
  private nonisolated(unsafe) let source: any DispatchSourceRead
  private let state: State

  /// A watch over nothing; throws `SystemError`, EMFILE where there are too many inotify instances
  /// (fs.inotify.max_user_instances).
  public init() throws {
    let descriptor = linux_inotify()
    guard descriptor >= 0 else { throw SystemError(.last, "create", "an inotify instance") }
    let state = State(inotify: OwnedDescriptor(owning: descriptor))
    let (emptied, continuation) = AsyncStream.makeStream(of: Cgroup.self)
    let queue = DispatchQueue(label: "CgroupWatch")
    source = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: queue)
    source.setEventHandler { for cgroup in state.readEvents() { continuation.yield(cgroup) } }
    // Holds the descriptor until Dispatch has let go of it.
    source.setCancelHandler { withExtendedLifetime(state) {} }
    source.activate()
    (self.state, self.emptied, self.continuation) = (state, emptied, continuation)
  }

  deinit { stop() }

  /// Watches `cgroup` until it is empty; throws `SystemError`, ENOENT where it does not exist.
  ///
  /// One that is empty already is delivered at once: nothing is missed that happened before the
  /// watch, provided that its first process was put into it before. With `awaitingFirstProcess` it
  /// may be empty now, and is delivered when it has had a process and lost it.
  public func add(_ cgroup: Cgroup, awaitingFirstProcess: Bool = false) throws {
    if try state.add(cgroup, awaitingFirstProcess: awaitingFirstProcess) {
      continuation.yield(cgroup)
    }
  }

  /// Stops watching `cgroup`; not an error where it was not watched.
  public func remove(_ cgroup: Cgroup) { state.remove(cgroup) }

  /// Ends the watch and its stream.
  public func stop() {
    source.cancel()
    continuation.finish()
  }
}

/// The inotify descriptor, and what each of its watches is for.
private final class State: Sendable {
  private let inotify: OwnedDescriptor
  private let watches = Mutex<[Int32: Watched]>([:])

  init(inotify: consuming OwnedDescriptor) { self.inotify = inotify }

  /// Returns whether the cgroup is empty already, and then does not watch it.
  func add(_ cgroup: Cgroup, awaitingFirstProcess: Bool) throws -> Bool {
    let watched = try Watched(cgroup)
    return try watches.withLock { watches in
      let watch = linux_inotify_watch(inotify.rawValue, cgroup.eventsPath)
      guard watch >= 0 else { throw SystemError(.last, "watch", cgroup.eventsPath) }
      watches[watch] = watched
      // Read after the watch is there: what changes from now on is an event, what was before is seen.
      return !awaitingFirstProcess && endIfEmpty(watch, &watches) != nil
    }
  }

  func remove(_ cgroup: Cgroup) {
    watches.withLock { watches in
      for (watch, watched) in watches where watched.cgroup == cgroup { end(watch, &watches) }
    }
  }

  /// Reads what inotify has, and returns the cgroups that are empty now.
  func readEvents() -> [Cgroup] {
    var changed: Set<Int32> = []
    var isOverflown = false
    let size = 4096
    withUnsafeTemporaryAllocation(byteCount: size, alignment: 8) { buffer in
      while case let length = read(inotify.rawValue, buffer.baseAddress, size), length > 0 {
        var (offset, overflow, gone): (Int64, Int32, Int32) = (0, 0, 0)
        while case let watch = linux_inotify_next(
          buffer.baseAddress, Int64(length), &offset, &overflow, &gone), watch >= 0
        {
          if overflow != 0 { isOverflown = true } else { changed.insert(watch) }
        }
      }
    }
    return watches.withLock { watches in
      // Events were lost, so any watched cgroup may have changed.
      if isOverflown { changed.formUnion(watches.keys) }
      return changed.compactMap { endIfEmpty($0, &watches) }
    }
  }

  /// Ends `watch` and returns its cgroup; nil where there is none or where it still has a process.
  private func endIfEmpty(_ watch: Int32, _ watches: inout [Int32: Watched]) -> Cgroup? {
    guard let watched = watches[watch], watched.isEmpty else { return nil }
    end(watch, &watches)
    return watched.cgroup
  }

  private func end(_ watch: Int32, _ watches: inout [Int32: Watched]) {
    watches[watch] = nil
    _ = linux_inotify_unwatch(inotify.rawValue, watch)
  }
}

/// A watched cgroup, with its file open: to open it later could fail for want of descriptors, and
/// an end that is missed leaves an instance for ever, one that is imagined ends it.
private final class Watched: Sendable {
  let cgroup: Cgroup
  private let events: OwnedDescriptor

  init(_ cgroup: Cgroup) throws {
    self.cgroup = cgroup
    events = try OwnedDescriptor(opening: cgroup.eventsPath)
  }

  /// Whether it has no process; a cgroup that has been removed (ENODEV) has none.
  var isEmpty: Bool {
    withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
      let length = pread(events.rawValue, buffer.baseAddress, buffer.count, 0)
      guard length >= 0 else { return Errno.last == .operationNotSupportedByDevice }
      return !Cgroup.isPopulated(accordingTo: String(decoding: buffer[..<length], as: UTF8.self))
    }
  }
}
