/// A descriptor of somebody else's that one of the relay's event loops watches, until this is let go.
public final class WatchedDescriptor: Sendable {
  private let loop: EventLoop
  private let source: LoopHandoff<Source>

  private final class Source: EventSource {
    let handler: @Sendable () -> Void
    init(_ handler: @escaping @Sendable () -> Void) { self.handler = handler }
    override func handle(_ events: UInt32) { handler() }
  }

  init(_ descriptor: Int32, _ loop: EventLoop, _ handler: @escaping @Sendable () -> Void) {
    let source = LoopHandoff(value: Source(handler))
    (self.loop, self.source) = (loop, source)
    loop.post { loop in _ = loop.watch(source.value, descriptor) }
  }

  deinit {
    let source = source
    loop.post { $0.forget(source.value) }
  }
}
