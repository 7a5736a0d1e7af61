/// A descriptor of somebody else's that one of the relay's event loops watches, until this is let go.
public final class WatchedDescriptor: Sendable {
  private let loop: EventLoop
  private let source: LoopHandoff<Source>

  final class Source: EventSource {
    let handler: @Sendable () -> Void
    /// Nil where the descriptor alone tells.
    let setPolled: (@Sendable (Bool) -> Void)?

    init(
      _ setPolled: (@Sendable (Bool) -> Void)?, _ handler: @escaping @Sendable () -> Void
    ) {
      (self.setPolled, self.handler) = (setPolled, handler)
    }

    override func handle(_ events: UInt32) { handler() }
  }

  init(
    _ descriptor: Int32, _ loop: EventLoop, setPolled: (@Sendable (Bool) -> Void)?,
    _ handler: @escaping @Sendable () -> Void
  ) {
    let source = LoopHandoff(value: Source(setPolled, handler))
    (self.loop, self.source) = (loop, source)
    loop.post { $0.add(source.value, descriptor) }
  }

  deinit {
    let source = source
    loop.post { $0.remove(source.value) }
  }

  /// Watches it no more, while it stays open: so it can be watched again. `Relay.settle` returns when that is so.
  package func end(living descriptor: Int32) {
    let source = source
    loop.post { $0.remove(source.value, living: descriptor) }
  }
}
