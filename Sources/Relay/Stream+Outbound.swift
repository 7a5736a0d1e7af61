import CLinux
import Glibc
import SystemPackage
import Tunnel

/// From the program's socket into the tunnel.
extension Stream {
  /// Batches that a stream moves before the others have their turn. Where many have much to move, a new
  /// connection waits for a turn of each.
  static let turns = 4

  /// Moves bytes and frames out; whether there may be more to move at once.
  func pumpOut() -> Bool {
    for _ in 0..<Self.turns {
      guard flushOut(), drainOutPipe() else { return false }
      if sendFrames() { continue }
      if isOver { return false }
      guard let local, !hasSentEnd else { return false }
      if mustMoveFirst { return false }
      guard local.isReadable else { return false }
      if local.hasUrgent, linux_is_at_urgent(local.descriptor) != 0 {
        guard sendUrgent(local) else { return false }
        continue
      }
      let moved = out.channel.sendMode == .kernel ? spliceOut(local) : sealOut(local)
      if isOver { return false }
      // What a read ended with may have to be sent.
      if !moved, resetDue == nil, out.channel.isFlushed { return false }
    }
    return true
  }

  /// Whether everything appended has been sent.
  private func flushOut() -> Bool {
    if out.channel.isFlushed { return true }
    guard out.isWritable else { return false }
    switch out.channel.flush() {
    case .done: return true
    case .blocked: out.isWritable = false
    case .failed(let errno): fail(.system(errno, peer: peer.runner.name, "send"))
    }
    return false
  }

  /// Appends the next frame without payload that is due, if one is.
  private func sendFrames() -> Bool {
    if let errno = resetDue {
      resetDue = nil
      (hasSentEnd, hasSentReset) = (true, true)
      return append(.reset(errno))
    }
    return sendMoveFrames()
  }

  func append(_ frame: Frame, _ payload: UInt8...) -> Bool {
    if out.channel.append(frame.bytes + payload) { return true }
    fail(.ended(.closed, peer: peer.runner.name, "the tunnel takes no frame"))
    return false
  }

  /// The program has sent all: its FIN came, or its connection was broken off.
  private func finishOut() -> Bool {
    local?.checkEnd()
    if let failure = local?.failure {
      // After its FIN the kernel has EPIPE for a reset, which then follows the END.
      guard failure == EPIPE else {
        localEnded()
        return true
      }
      loop.schedule(self)
    }
    hasSentEnd = true
    return append(.end) && appendDoneIfDue()
  }

  /// With the END, where that is the stream's last but for this, so that both go at once.
  private func appendDoneIfDue() -> Bool {
    guard isDoneDue else { return true }
    hasSentDone = true
    return append(.done)
  }

  /// Sends the urgent byte at which a read ends; as any other where the other runner knows none.
  private func sendUrgent(_ local: LocalSocket) -> Bool {
    var byte: UInt8 = 0
    guard linux_receive(local.descriptor, &byte, 1, 0) == 1 else { return explainRead() }
    local.hasUrgent = false
    if isOpener { openerBytes += 1 }
    loop.counters.bytesSent.add(1)
    return knowsUrgent ? append(.urgent(byte)) : append(.data(1), byte)
  }

  // MARK: - In user space

  /// Reads a batch, and seals it with its header as one frame of full records; with the socket's end
  /// behind it, where that has come.
  private func sealOut(_ local: LocalSocket) -> Bool {
    let (header, room) = (Frame.headerSize, TunnelChannel.batch - 3 * Frame.headerSize)
    let payload = loop.scratch + header
    let first = linux_receive(local.descriptor, payload, UInt64(room), 0)
    guard first > 0 else { return first == 0 ? finishOut() : explainRead() }
    var (count, next) = (Int(first), Int64(-1))
    if count < room {
      // A stream socket that gave less than was asked for is empty (epoll(7)), has ended, or has an urgent byte next.
      if local.hasUrgent {
        // Whether it is an urgent byte is asked in the next turn.
      } else if local.hasEnd {
        next = linux_receive(local.descriptor, payload + count, UInt64(room - count), 0)
        if next < 0 { noteReadError(local) }
        if next == 0 { local.checkEnd() }
        count += Int(max(0, next))
      } else {
        local.isReadable = false
      }
    }
    loop.scratch.storeBytes(of: Frame.data(count).header.bigEndian, as: UInt32.self)
    var size = header + count
    if next == 0, local.failure == nil {
      hasSentEnd = true
      (loop.scratch + size).storeBytes(of: Frame.end.header.bigEndian, as: UInt32.self)
      size += header
      if isDoneDue {
        hasSentDone = true
        (loop.scratch + size).storeBytes(of: Frame.done.header.bigEndian, as: UInt32.self)
        size += header
      }
    }
    guard out.channel.append(UnsafeRawBufferPointer(start: loop.scratch, count: size)) else {
      fail(.ended(.closed, peer: peer.runner.name, "the tunnel cannot seal"))
      return false
    }
    loop.counters.bytesSent.add(count)
    if isOpener { openerBytes += count }
    noteMoved(.sending, count)
    return true
  }

  /// A read failed; whether there is something to do nevertheless.
  private func explainRead(_ error: Errno = .last) -> Bool {
    guard let local else { return false }
    if error == .interrupted { return true }
    noteReadError(local, error)
    guard local.failure != nil else { return false }
    localEnded()
    return true
  }

  private func noteReadError(_ local: LocalSocket, _ error: Errno = .last) {
    switch error {
    case .resourceTemporarilyUnavailable: (local.isReadable, local.hasUrgent) = (false, false)
    case .interrupted: break
    case let error: local.fail(error.rawValue)
    }
  }

  // MARK: - With kernel TLS

  /// Moves what the socket has into a pipe: the payload of the next frame.
  private func spliceOut(_ local: LocalSocket) -> Bool {
    guard let pipe = loop.pipes.take() else {
      shortOfDescriptors()
      return false
    }
    let count = linux_splice(local.descriptor, pipe.input, UInt64(Pipe.capacity))
    guard count > 0 else {
      let error = Errno.last
      loop.pipes.put(pipe)
      // At an urgent byte splice(2) says that nothing is there, or that all is over.
      if count == 0 || error != .resourceTemporarilyUnavailable,
        linux_is_at_urgent(local.descriptor) != 0
      {
        if count < 0 { local.fail(error.rawValue) }
        local.hasUrgent = true
        return true
      }
      return count == 0 ? finishOut() : explainRead(error)
    }
    pipe.count = Int(count)
    (outPipe, isHeaderDue) = (pipe, true)
    loop.counters.bytesSent.add(Int(count))
    if isOpener { openerBytes += Int(count) }
    noteMoved(.sending, Int(count))
    return true
  }

  /// Sends the frame whose payload is in the pipe; whether that is done.
  private func drainOutPipe() -> Bool {
    guard let pipe = outPipe else { return true }
    guard out.isWritable else { return false }
    if isHeaderDue {
      switch out.channel.sendHeader(Frame.data(pipe.count).bytes) {
      case .done: isHeaderDue = false
      case .blocked:
        out.isWritable = false
        return false
      case .failed(let errno):
        fail(.system(errno, peer: peer.runner.name, "send"))
        return false
      }
    }
    while pipe.count > 0 {
      do {
        let moved = try out.channel.splice(from: pipe.output, pipe.count)
        if moved == 0 {
          out.isWritable = false
          return false
        }
        pipe.count -= moved
      } catch {
        fail(.system(error, peer: peer.runner.name, "send"))
        return false
      }
    }
    outPipe = nil
    loop.pipes.put(pipe)
    return true
  }

  /// Tries again when others may have closed theirs.
  func shortOfDescriptors() {
    _ = loop.after(50_000_000) { [weak self] in self?.run() }
  }
}
