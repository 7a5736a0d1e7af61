import Glibc
import LinuxSystem
import SystemPackage
import Tunnel

/// Answering another runner that asks for a stream.
extension TunnelConnection {
  func continueAwaiting() {
    _ = channel.flush()
    while isReadable {
      switch reader.next(from: channel) {
      case .blocked:
        isReadable = false
        if reader.isInside, deadline == nil { limitPreface() }
      case .frame(.reset): continue  // of the stream before
      case .frame(.preface(let count)):
        guard (1...StreamPreface.maximumSize).contains(count) else {
          return refuse(EMSGSIZE, "it sent a preface of \(count) bytes", closes: true)
        }
        reader.expectMessage(count)
      case .message(let bytes):
        loop.cancel(deadline)
        deadline = nil
        return take(bytes)
      case .frame(let frame): return violated("it began a stream with \(frame)")
      case .ended: return close()
      }
    }
  }

  private func limitPreface() {
    deadline = loop.after(loop.shared.configuration.answerTimeout.nanoseconds) { [weak self] in
      self?.violated("its preface did not come to an end in time")
    }
  }

  private func take(_ bytes: [UInt8]) {
    do {
      switch try StreamPreface(decoding: bytes) {
      // Who asked has ended the tunnel already, and waits for no answer: both came at once after the wire was cut.
      // Or another relay decides, which it finds on another tunnel.
      case .open where hasHungUp || loop.isRetired:
        loop.counters.streamsRefused.add(1)
        close()
      case .open(let request): decide(IncomingStream(runner: channel.peer.runner, request: request))
      case .resume(let token, let isSending): resume(token, isSending ? .sending : .receiving)
      }
    } catch {
      refuse(error.errno, error.cause, closes: error.errno != EPROTONOSUPPORT)
    }
  }

  /// Answers with `errno`; the tunnel can carry the next stream, unless it `closes`.
  func refuse(_ errno: Int32, _ cause: String? = nil, closes: Bool = false) {
    loop.counters.streamsRefused.add(1)
    if let cause { loop.shared.observe(.protocolViolation(channel.peer, cause)) }
    guard answer(StreamAnswer(errno: errno)) else { return }
    if closes || loop.isRetired { return closeAfterFlush() }
    use = .awaiting
    dispatch()
  }

  /// Sends the answer; false where the tunnel is broken, and closed.
  private func answer(_ answer: StreamAnswer) -> Bool {
    guard let frame = try? answer.frame(), channel.append(frame) else {
      close()
      return false
    }
    if case .failed = channel.flush() {
      close()
      return false
    }
    return true
  }

  // MARK: - A new stream

  private func decide(_ stream: IncomingStream) {
    use = .deciding(stream)
    deadline = loop.after(loop.shared.configuration.answerTimeout.nanoseconds) { [weak self] in
      guard let self, case .deciding = use else { return }
      deadline = nil
      refuse(ETIMEDOUT)
    }
    // The reply may come late, when this tunnel carries another stream.
    let (id, loop, question) = (id, loop, deadline.map { ObjectIdentifier($0) })
    loop.shared.authorize(stream) { decision in
      loop.post { loop in
        guard let tunnel = loop.tunnels[id], case .deciding = tunnel.use, tunnel.dial == nil,
          tunnel.deadline.map({ ObjectIdentifier($0) }) == question
        else { return }
        tunnel.follow(decision)
      }
    }
  }

  private func follow(_ decision: StreamDecision) {
    switch decision {
    case .refuse(let errno): decided(errno == 0 ? ECONNREFUSED : errno)
    case .dial(let instruction):
      guard let socket = instruction.takeSocket() else { return decided(EIO) }
      // A service that is busy has as long as the kernel gives it, or until the peer closes the tunnel.
      loop.cancel(deadline)
      deadline = nil
      connect(socket, as: instruction) { [weak self] errno in
        guard errno == EADDRNOTAVAIL else { self?.decided(errno); return }
        self?.connectAnew(instruction)
      }
    case .join(let handoff):
      guard let socket = handoff.take() else { return decided(EIO) }
      let local = LocalSocket(socket, in: loop)
      dial = local
      decided(local.watch() ? 0 : ENOMEM)
    }
  }

  /// A connection from the same port to the same one is there still, as a rule one that is being closed: this one
  /// comes from another port.
  private func connectAnew(_ instruction: DialInstruction) {
    let (id, loop) = (id, loop)
    instruction.requestAnother { another in
      loop.post { loop in
        guard let tunnel = loop.tunnels[id], case .deciding = tunnel.use else { return }
        guard let socket = another?.take() else { return tunnel.decided(EADDRNOTAVAIL) }
        tunnel.connect(socket, as: instruction) { [weak tunnel] in tunnel?.decided($0) }
      }
    }
  }

  private func connect(
    _ socket: consuming OwnedDescriptor, as instruction: DialInstruction,
    _ done: @escaping (Int32) -> Void
  ) {
    dial?.reset()
    let local = LocalSocket(socket, in: loop)
    dial = local
    local.connect(to: instruction.destination, port: instruction.port, done)
  }

  private func decided(_ errno: Int32) {
    guard case .deciding(let asked) = use else { return }
    loop.cancel(deadline)
    deadline = nil
    guard errno == 0, let local = dial.take() else {
      dial?.reset()
      dial = nil
      return refuse(errno == 0 ? EIO : errno)
    }
    let stream = Stream(
      token: StreamToken(loop: UInt16(loop.index)), on: self, isOpener: false,
      knowsUrgent: asked.request.knowsUrgent, knowsDone: asked.request.awaitsDone,
      deployment: asked.request.deployment)
    use = .stream(stream)
    // The answer may fail and close this tunnel, which the stream then finds.
    if answer(StreamAnswer(errno: 0, token: stream.token)) {
      loop.counters.streamsAccepted.add(1)
      stream.join(local)
    } else {
      local.reset()
      stream.abandonBroken()
    }
  }

  // MARK: - A stream that goes on here

  private func resume(_ token: StreamToken, _ direction: StreamDirection) {
    let index = token.loop % loop.siblings.count
    if index == loop.index { return resumeHere(token, direction) }
    // The stream is another loop's, and so becomes this tunnel, with the peer it belongs to.
    let handoff = LoopHandoff(value: channel)
    letGo()
    loop.siblings[index].post { loop in
      let tunnel = TunnelConnection(handoff.value, in: loop, pool: nil)
      guard loop.watch(tunnel, handoff.value.descriptor) else { return }
      loop.adopt(tunnel)
      tunnel.resumeHere(token, direction)
    }
  }

  private func resumeHere(_ token: StreamToken, _ direction: StreamDirection) {
    guard let stream = loop.accepted[token] else {
      // It may be the relay's before or after this one, and come in a moment.
      return refuse(loop.shared.succession.mayBeElsewhere ? EAGAIN : ESRCH)
    }
    let errno = stream.answerToMove(direction, to: self)
    guard errno == 0 else { return refuse(errno) }
    guard answer(StreamAnswer(errno: 0, token: token)) else { return }
    use = .stream(stream)
    stream.moveAccepted(direction, self)
  }
}
