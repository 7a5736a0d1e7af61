import Glibc
import SystemPackage
import Tunnel

/// Asking the other runner for a stream.
extension TunnelConnection {
  /// Asks for the stream of `open`.
  func begin(_ open: PendingOpen) {
    use = .opening(open)
    open.awaitAnswer(on: self, in: loop)
    guard let frame = try? open.preface.frame(), channel.append(frame) else {
      return broken(open, .ended(.closed, peer: channel.peer.runner.name, "it takes no preface"))
    }
    if case .failed(let errno) = channel.flush() { return broken(open, whySendFailed(errno)) }
    if isReadable { dispatch() }
  }

  func continueOpening(_ open: PendingOpen) {
    if case .failed(let errno) = channel.flush() { return broken(open, whySendFailed(errno)) }
    while isReadable {
      switch reader.next(from: channel) {
      case .blocked: isReadable = false
      case .frame(.reset): continue  // of the stream before
      case .frame(.moveRequest): isSpent = true
      case .frame(.answer(let count)) where (1...StreamPreface.maximumSize).contains(count):
        reader.expectMessage(count)
      case .message(let bytes):
        do { return answered(open, try StreamAnswer(decoding: bytes)) } catch {
          return misbehaved(open, error.cause)
        }
      case .frame(let frame): return misbehaved(open, "it answered a preface with \(frame)")
      case .ended(let error, _): return broken(open, error)
      }
    }
  }

  /// The tunnel ended before the answer. One that was idle may have ended before it was asked, so
  /// that the next is tried; what a fresh one cannot, another could not either.
  private func broken(_ open: PendingOpen, _ error: TunnelError) {
    close()
    // As a rule the other side did not take this one's certificate, which in TLS 1.3 it says late.
    if error.kind == .handshake {
      loop.shared.observe(.handshakeFailed(error, incoming: false))
      pool?.refused()
      open.refusals += 1
    }
    if let pool, open.mayTryAgain { return pool.request(open) }
    open.fail(error, in: loop)
  }

  /// The peer refuses a certificate after this side's handshake has ended (TLS 1.3), so that the
  /// first to notice may be a send that meets its RST. Why it refused is there to be read still.
  private func whySendFailed(_ errno: Errno) -> TunnelError {
    channel.noteReadable(hasEnd: true)
    if case .ended(let error, _) = reader.next(from: channel), error.kind == .handshake {
      return error
    }
    return .system(errno, peer: channel.peer.runner.name, "send")
  }

  private func misbehaved(_ open: PendingOpen, _ cause: String) {
    violated(cause)
    open.fail(EPROTO, cause, in: loop)
  }

  private func answered(_ open: PendingOpen, _ answer: StreamAnswer) {
    guard answer.errno == 0, let token = answer.token else {
      let cause = "\(channel.peer.runner.name) answered with errno \(answer.errno)"
      becomeFree()
      return open.fail(answer.errno, cause, isReached: true, in: loop)
    }
    guard open.end(in: loop) else { return close() }
    switch open.purpose {
    case .move(let stream, let direction):
      use = .stream(stream)
      stream.moveAccepted(direction, self)
    case .open(let request, let completion):
      let stream = Stream(
        token: token, on: self, isOpener: true, knowsUrgent: answer.knowsUrgent,
        knowsDone: answer.saysDone && request.awaitsDone,
        deployment: request.deployment)
      use = .stream(stream)
      loop.counters.streamsOpened.add(1)
      // A tunnel may carry another stream later: what is on it now goes by a number of its own.
      let handle = loop.makeID()
      loop.unjoined[handle] = stream
      completion(.success(RelayStream(id: handle, loop: loop)))
    }
  }

  /// The stream was refused: the tunnel is free for the next.
  private func becomeFree() {
    use = .idle
    if loop.isRetired || isSpent || loop.shared.configuration.keyUsage.isNear(channel.recordsSent) {
      return close()
    }
    pool?.put(self)
  }
}
