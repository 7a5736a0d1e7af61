import CLinux
import Glibc
import LinuxSystem
import Model
import Synchronization
import SystemPackage
import Tunnel

/// One thread that moves bytes, with all that belongs to it.
///
/// Sendable, which the compiler cannot see, because only what stands below "From any thread", `asked`,
/// `counters` and the constants `index` and `shared` are for other threads; everything else is for the
/// loop's own, and `siblings` is set before the threads start and after they have ended.
final class EventLoop: @unchecked Sendable {
  typealias Work = @Sendable (EventLoop) -> Void

  let index: Int
  let shared: RelayShared
  let counters = LoopCounters()
  /// Streams that were asked for and not answered yet.
  let asked = Atomic(0)
  var siblings: [EventLoop] = []

  private let epoll: OwnedDescriptor
  private let wakeup: OwnedDescriptor
  private let inbox = Mutex<[Work]>([])
  private let thread = Atomic<UInt>(0)

  /// Memory for one batch, in front of which a frame's header fits. What is in it is used at once.
  let scratch = UnsafeMutableRawPointer.allocate(byteCount: TunnelChannel.batch, alignment: 4096)
  private(set) var now = EventLoop.clock()
  var pipes = PipePool()
  var pools: [TunnelPeer: PeerPool] = [:]
  var tunnels: [UInt64: TunnelConnection] = [:]
  var halfOpen = HalfOpenHandshakes()
  var dialing: [ObjectIdentifier: OutgoingTunnel] = [:]
  private(set) lazy var prepared = PreparedPeers(in: self)
  /// Streams that were accepted here, by what they may be continued by.
  var accepted: [StreamToken: Stream] = [:]
  var streams: [ObjectIdentifier: Stream] = [:]
  /// Connections that have both ends on this runner, or one of them outside.
  var pairs: [ObjectIdentifier: SocketPair] = [:]
  /// Connections to outside that are being made, and those that wait for `join`.
  var outside: [ObjectIdentifier: OutsideDial] = [:]
  var unjoinedOutside: [UInt64: LocalSocket] = [:]
  /// Opened streams that wait for `join`.
  var unjoined: [UInt64: Stream] = [:]
  var listeners: [Listener] = []
  /// How many sockets are told their last words.
  var lingeringCloses = 0
  /// Whether tunnels that carry nothing are ended: another relay makes them now.
  var isRetired = false
  /// What is looked at while the loop is busy, and `isPolled` then.
  private var polled: [WatchedDescriptor.Source] = []
  private var isPolled = false
  private var closing = ClosingSockets()
  private var nextID: UInt64 = 0
  private var sources = EventSources()
  private var deadlines = Deadlines()
  private var polling = BusyPolling()
  private var scheduled: [Stream] = []
  private(set) var stopsAt: UInt64?
  /// When the peers of the tunnels are looked at next.
  var peerWatch: Deadline?
  /// Streams and pairs that have more of the kernel's memory than they began with, and when these are looked at next.
  var widened: [ObjectIdentifier: any WindowOwner] = [:]
  var windowWatch: Deadline?
  /// The runners with which there are streams, or were a moment ago, and when these are looked at next.
  var reachability: [RunnerIdentifier: PeerReachability] = [:]
  var reachabilityWatch: Deadline?

  init(index: Int, shared: RelayShared) throws {
    (self.index, self.shared) = (index, shared)
    let epoll = linux_epoll_create()
    guard epoll >= 0 else { throw SystemError(.last, "create", "an epoll instance") }
    self.epoll = OwnedDescriptor(owning: epoll)
    let wakeup = linux_eventfd()
    guard wakeup >= 0 else { throw SystemError(.last, "create", "an eventfd") }
    self.wakeup = OwnedDescriptor(owning: wakeup)
    // Token 0 is nobody's.
    guard linux_epoll_watch(epoll, wakeup, 0, 0) == 0 else {
      throw SystemError(.last, "watch", "an eventfd")
    }
  }

  deinit { scratch.deallocate() }

  /// Nanoseconds of the monotonic clock.
  static func clock() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  // MARK: - From any thread

  /// The streams that it has, or is asked for, and the pairs.
  var load: Int {
    counters.streamsLive.load(ordering: .relaxed) + counters.pairsLive.load(ordering: .relaxed)
      + asked.load(ordering: .relaxed)
  }

  /// Whether the calling thread is the loop's.
  var isCurrent: Bool { thread.load(ordering: .relaxed) == pthread_self() }

  /// Has the loop's thread do `work`, in order.
  func post(_ work: @escaping Work) {
    let wasEmpty = inbox.withLock { inbox in
      inbox.append(work)
      return inbox.count == 1
    }
    // The loop's own thread looks before it waits.
    guard wasEmpty, !isCurrent else { return }
    var one: UInt64 = 1
    _ = write(wakeup.rawValue, &one, 8)
  }

  /// Starts the thread; throws `SystemError`.
  func start() throws -> pthread_t {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(self)
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, argument.toOpaque())
    guard code == 0 else {
      argument.release()
      throw SystemError(Errno(rawValue: code), "start", "a thread")
    }
    return thread
  }

  // MARK: - The loop

  private func run() {
    thread.store(pthread_self(), ordering: .relaxed)
    // splice(2) to a socket whose peer is gone raises it, and cannot be told not to.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGPIPE)
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    var events = [linux_event](repeating: linux_event(), count: 256)
    while !isFinished {
      let count = wait(for: &events)
      now = Self.clock()
      for index in 0..<max(0, Int(count)) {
        if events[index].token == 0 {
          var value: UInt64 = 0
          _ = read(wakeup.rawValue, &value, 8)
        } else {
          sources[events[index].token]?.handle(events[index].events)
        }
      }
      runScheduled()
      runInbox()
      if closing.isDue(now: now) { closing.closeAll() }
      for deadline in deadlines.takeDue(now: now) { deadline.action() }
    }
    close()
  }

  /// Waits for events, at first without giving up the CPU where that has been worth it.
  private func wait(for events: inout [linux_event]) -> Int32 {
    poll()
    let timeout = timeout
    if timeout == 0 { return linux_epoll_wait(epoll.rawValue, &events, 256, 0) }
    let start = Self.clock()
    if polling.isWorthwhile {
      setPolled(true)
      while true {
        let count = linux_epoll_wait(epoll.rawValue, &events, 256, 0)
        if count != 0 { return count }
        poll()
        // A connection that has ended meanwhile leaves its tunnel to the next one.
        if hasWork { return linux_epoll_wait(epoll.rawValue, &events, 256, 0) }
        let waited = Self.clock() - start
        if waited > BusyPolling.limit { break }
        if waited > ClosingSockets.pause { closing.closeAll() }
        sched_yield()
      }
      setPolled(false)
      if hasWork { return 0 }
    }
    closing.closeAll()
    let count = linux_epoll_wait(epoll.rawValue, &events, 256, timeout)
    polling.waited(Self.clock() - start)
    return count
  }

  private func setPolled(_ isPolled: Bool) {
    guard isPolled != self.isPolled else { return }
    for source in polled { source.setPolled?(isPolled) }
    poll()
    self.isPolled = isPolled
  }

  /// Looks at what need not tell that there is something.
  private func poll() {
    guard isPolled else { return }
    for source in polled { source.handler() }
  }

  private var timeout: Int32 {
    if hasWork { return 0 }
    let next = min(deadlines.earliest, stopsAt ?? .max)
    guard next != .max else { return -1 }
    // One more, so that the time has come when epoll_wait returns.
    return next <= now ? 0 : Int32(min((next - now) / 1_000_000 + 1, 60_000))
  }

  private var hasWork: Bool { !scheduled.isEmpty || hasInbox }

  private var hasInbox: Bool { inbox.withLock { !$0.isEmpty } }

  private func runScheduled() {
    let streams = scheduled
    scheduled.removeAll(keepingCapacity: true)
    for stream in streams {
      stream.isScheduled = false
      stream.run()
    }
  }

  /// Does what was posted; what that posts in turn comes after the next events.
  private func runInbox() {
    let works = inbox.withLock { inbox in
      defer { inbox = [] }
      return inbox
    }
    for work in works { work(self) }
  }

  // MARK: - For what belongs to the loop

  /// A number that nothing else in this loop has.
  func makeID() -> UInt64 {
    nextID += 1
    return nextID
  }

  /// Watches `descriptor`, which `source` owns; false where the kernel has no memory for it. With
  /// `insteadOf` the descriptor is watched already, for another source.
  func watch(_ source: EventSource, _ descriptor: Int32, insteadOf other: EventSource? = nil)
    -> Bool
  {
    if let other { sources.remove(other) }
    sources.add(source)
    if linux_epoll_watch(epoll.rawValue, descriptor, source.token, other == nil ? 0 : 1) == 0 {
      return true
    }
    sources.remove(source)
    return false
  }

  /// Tells `source` nothing more. Closing its descriptor takes that out of epoll; where it lives on,
  /// it must be given.
  func forget(_ source: EventSource, living descriptor: Int32? = nil) {
    sources.remove(source)
    if let descriptor { _ = linux_epoll_forget(epoll.rawValue, descriptor) }
  }

  func add(_ source: WatchedDescriptor.Source, _ descriptor: Int32) {
    guard watch(source, descriptor), let setPolled = source.setPolled else { return }
    setPolled(isPolled)
    polled.append(source)
  }

  /// The descriptor is given where it is open still, and may be watched again.
  func remove(_ source: WatchedDescriptor.Source, living descriptor: Int32? = nil) {
    polled.removeAll { $0 === source }
    if isPolled { source.setPolled?(false) }
    forget(source, living: descriptor)
  }

  /// Has `action` done after `nanoseconds` unless the deadline is cancelled.
  func after(_ nanoseconds: UInt64, _ action: @escaping () -> Void) -> Deadline {
    let deadline = Deadline(time: now &+ nanoseconds, action: action)
    deadlines.add(deadline)
    return deadline
  }

  func cancel(_ deadline: Deadline?) { deadlines.cancel(deadline) }

  /// Closes `socket` when there is nothing else to do, which is soon: whoever waits for the rest of a
  /// connection that has ended waits less for it than one that wants to begin.
  func closeLater(_ socket: consuming OwnedDescriptor) { closing.add(socket, now: now) }

  /// Has `work` done when what is being done now is done.
  func later(_ work: @escaping (EventLoop) -> Void) {
    let handoff = LoopHandoff(value: work)
    post { $0.run(handoff.value) }
  }

  private func run(_ work: (EventLoop) -> Void) { work(self) }

  /// Has `stream` run again after the others had their turn.
  func schedule(_ stream: Stream) {
    guard !stream.isScheduled else { return }
    stream.isScheduled = true
    scheduled.append(stream)
  }

  // MARK: - The end

  /// Ends the loop when its streams have ended, at the latest after `grace` nanoseconds.
  func stop(grace: UInt64) {
    guard stopsAt == nil else { return }
    stopsAt = now &+ grace
    for listener in listeners { listener.close() }
    listeners = []
    for pool in pools.values { pool.stop() }
  }

  private var isFinished: Bool {
    guard let stopsAt else { return false }
    return streams.isEmpty && pairs.isEmpty || stopsAt <= now
  }

  private func close() {
    runInbox()
    for stream in streams.values { stream.shutDown() }
    for pair in Array(pairs.values) { pair.close() }
    for dial in Array(outside.values) { dial.end(.hostIsDown) }
    for socket in unjoinedOutside.values { socket.reset() }
    unjoinedOutside = [:]
    closing.closeAll()
    for outgoing in Array(dialing.values) { outgoing.close() }
    for handshake in halfOpen.takeAll() { handshake.close() }
    for tunnel in Array(tunnels.values) { tunnel.close() }
    // Work that these left: completions are called, and what came too late finds nothing.
    while hasInbox { runInbox() }
    pools = [:]
    pipes = PipePool()
  }
}
