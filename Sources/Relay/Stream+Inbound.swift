import CLinux
import Glibc
import SystemPackage
import Tunnel

/// From the tunnel to the program's socket.
extension Stream {
  /// Moves bytes and frames in; whether there may be more to move at once.
  func pumpIn() -> Bool {
    for _ in 0..<Self.turns {
      guard deliver() else {
        resetWhenDelivered()
        return false
      }
      resetWhenDelivered()
      if isShutdownDue {
        isShutdownDue = false
        // Where that was the last, it is closed at once.
        if let local, !isDone { local.shutDownSending() }
      }
      if switchIncoming() { continue }
      // What follows both ends is not of this stream any more, but the next one's preface.
      // Nor does anything follow a MOVE.
      let isEnded = hasReceivedEnd && hasSentEnd && !moveIn.isUnderWay && !awaitsDone
      guard !moveIn.hasMove, !isEnded, incoming.isReadable else { return false }
      if incoming.channel.receiveMode == .kernel, !discards { gatherSpliced() } else { gather() }
      if isOver { return false }
    }
    return true
  }

  /// Takes the frames of the tunnel, and puts their payload into memory until a batch is full.
  private func gather() {
    var filled = 0
    while filled < TunnelChannel.batch, incoming.isReadable {
      if frameLeft == 0 {
        guard takeFrame() else { break }
        continue
      }
      switch incoming.channel.receive(
        into: loop.scratch + filled, min(frameLeft, TunnelChannel.batch - filled))
      {
      case .bytes(let count):
        frameLeft -= count
        filled += count
      case .blocked: incoming.isReadable = false
      case .ended(let error): return fail(error)
      }
    }
    guard filled > 0, !isOver, !discards else { return }
    loop.counters.bytesReceived.add(filled)
    send(UnsafeRawBufferPointer(start: loop.scratch, count: filled))
  }

  /// The same through a pipe.
  private func gatherSpliced() {
    guard let pipe = inPipe ?? loop.pipes.take() else { return shortOfDescriptors() }
    inPipe = pipe
    while pipe.count < Pipe.capacity, incoming.isReadable {
      if frameLeft == 0 {
        guard takeFrame() else { break }
        continue
      }
      switch incoming.channel.splice(into: pipe.input, min(frameLeft, Pipe.capacity - pipe.count)) {
      case .bytes(let count):
        frameLeft -= count
        pipe.count += count
        loop.counters.bytesReceived.add(count)
        continue
      case .blocked:
        // Or the pipe is full of small pieces: with bytes in it, that is tried first.
        if pipe.count == 0 { incoming.isReadable = false }
      case .ended(let error): return fail(error)
      }
      break
    }
    if pipe.count == 0, inPipe != nil {
      inPipe = nil
      loop.pipes.put(pipe)
    }
  }

  /// Takes the next frame's header; whether payload or another frame may follow at once.
  private func takeFrame() -> Bool {
    switch incoming.reader.next(from: incoming.channel) {
    case .blocked:
      incoming.isReadable = false
      return false
    case .ended(let error, _):
      fail(error)
      return false
    case .frame(let frame): return take(frame)
    case .message:
      violated("it sent a message in a stream")
      return false
    }
  }

  private func take(_ frame: Frame) -> Bool {
    switch frame {
    case .data(let count) where !hasReceivedEnd:
      frameLeft = count
      if !isOpener { openerBytes += count }
      return true
    case .urgent(let byte) where !hasReceivedEnd:
      loop.counters.bytesReceived.add(1)
      if !isOpener { openerBytes += 1 }
      if !discards { urgentDue = byte }
    case .end where !hasReceivedEnd:
      hasReceivedEnd = true
      isShutdownDue = local != nil
    case .reset(let errno): received(reset: errno)
    case .move where !moveIn.hasMove && (isOpener ? moveIn.isUnderWay : moveIn.next != nil):
      moveIn.hasMove = true
    case .moveRequest where isOpener:
      incoming.isSpent = true
    case .done where awaitsDone && hasSentEnd && hasReceivedEnd: hasReceivedDone = true
    default: violated("it sent \(frame) out of place")
    }
    return false
  }

  private func violated(_ cause: String) {
    loop.shared.observe(.protocolViolation(peer, cause))
    fail(.ended(.protocolViolation, peer: peer.runner.name, cause))
  }

  // MARK: - Delivering

  /// Gives the socket what waits for it; whether that is all.
  private func deliver() -> Bool {
    if held.isEmpty, inPipe == nil { return deliverUrgent() }
    guard let local, local.isWritable else { return local == nil }
    if let pipe = inPipe { return drain(pipe, into: local) && deliverUrgent() }
    let sent = linux_send(local.descriptor, held.bytes.baseAddress, UInt64(held.bytes.count), 0)
    guard sent >= 0 else { return explainWrite() }
    held.drop(Int(sent))
    noteMoved(.receiving, Int(sent))
    if !held.isEmpty { local.isWritable = false }
    return held.isEmpty && deliverUrgent()
  }

  private func deliverUrgent() -> Bool {
    guard let byte = urgentDue, let local else { return true }
    guard local.isWritable else { return false }
    guard linux_send_urgent(local.descriptor, byte) == 1 else { return explainWrite() }
    urgentDue = nil
    return true
  }

  private func send(_ bytes: UnsafeRawBufferPointer) {
    guard let local else { return }
    // A FIN that is due at once goes with the last bytes, so that the program is woken once.
    var sent = linux_send(
      local.descriptor, bytes.baseAddress, UInt64(bytes.count), isShutdownDue ? 1 : 0)
    if sent < 0 {
      let error = Errno.last
      guard error == .resourceTemporarilyUnavailable || error == .interrupted else {
        return localFailed(error)
      }
      sent = 0
    }
    noteMoved(.receiving, Int(sent))
    guard sent < bytes.count else { return }
    held.hold(UnsafeRawBufferPointer(rebasing: bytes[Int(sent)...]))
    local.isWritable = false
    // What an interrupted call did not send would be waited for in vain.
    if sent == 0, Errno.last == .interrupted { local.isWritable = true }
  }

  private func explainWrite(isSplice: Bool = false) -> Bool {
    switch Errno.last {
    case .resourceTemporarilyUnavailable: local?.isWritable = false
    case .interrupted: loop.schedule(self)
    case let error: localFailed(error, isSplice: isSplice)
    }
    return false
  }

  /// A write failed; what can still be read is.
  private func localFailed(_ error: Errno, isSplice: Bool = false) {
    if isSplice { local?.spliceFailed(error.rawValue) } else { local?.fail(error.rawValue) }
    loop.schedule(self)
  }

  private func drain(_ pipe: Pipe, into local: LocalSocket) -> Bool {
    while pipe.count > 0 {
      let moved = linux_splice(pipe.output, local.descriptor, UInt64(pipe.count))
      guard moved > 0 else { return explainWrite(isSplice: true) }
      pipe.count -= Int(moved)
      noteMoved(.receiving, Int(moved))
    }
    inPipe = nil
    loop.pipes.put(pipe)
    return true
  }
}
