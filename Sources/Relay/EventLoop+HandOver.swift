import CLinux
import Glibc
import HandOver
import LinuxSystem
import SystemPackage
import Tunnel

/// What was passed on at once.
struct PassedBatch {
  /// How many connections and tunnels the other process has taken over, and how many are left.
  var passed = 0
  var left: Int
  /// How long they stood still, in nanoseconds.
  var time: UInt64 = 0
}

/// Passing on what a loop carries, and going on with what another process carried.
extension EventLoop {
  /// How many are passed on at a time, at most: each stands still until the last of them has been taken over.
  private static let batch = 16

  /// Passes on up to a batch of what is at rest, and lets it go where the other process has taken it over. It waits for the
  /// answer, and meanwhile nothing is moved here. Where that does not come, throws `SystemError`, and goes on as if nothing
  /// had been.
  func passOn(on channel: HandOverChannel) throws -> PassedBatch {
    let begin = Self.clock()
    let keys = HandOverKeys()
    let parcels = nextParcels(keys)
    guard !parcels.isEmpty else { return PassedBatch(left: left) }
    let (answer, error) = ask(
      Istbpf_Handover_V1_Batch.with { $0.items = parcels.map(\.item) }, keys,
      parcels.flatMap(\.descriptors), on: channel)
    let time = Self.clock() - begin
    if answer != nil { for parcel in parcels { parcel.letGo() } }
    guard answer != nil, error == nil else {
      throw error ?? SystemError(.connectionReset, "pass on", "connections")
    }
    return PassedBatch(passed: parcels.count, left: left, time: time)
  }

  /// The answer, if one came, and why there are no more.
  private func ask(
    _ batch: Istbpf_Handover_V1_Batch, _ keys: HandOverKeys, _ descriptors: [Int32],
    on channel: HandOverChannel
  ) -> (Istbpf_Handover_V1_Answer?, SystemError?) {
    do {
      try channel.send(batch, keys: keys, descriptors: descriptors)
      return (try channel.receive(Istbpf_Handover_V1_Answer.self)?.message, nil)
    } catch {
      // It may have been sent since: then it holds. Afterwards none is.
      channel.end()
      return (
        try? channel.receive(Istbpf_Handover_V1_Answer.self)?.message,
        error as? SystemError ?? SystemError(.badMessage, "pass on", "connections")
      )
    }
  }

  private func nextParcels(_ keys: HandOverKeys) -> [HandOverParcel] {
    var parcels: [HandOverParcel] = []
    for stream in streams.values where stream.isAtRest {
      guard parcels.count < Self.batch else { return parcels }
      parcels.append(stream.parcel(keys: keys))
    }
    for pair in pairs.values where pair.isAtRest {
      guard parcels.count < Self.batch else { return parcels }
      parcels.append(pair.parcel())
    }
    for tunnel in tunnels.values where tunnel.isAtRest {
      guard parcels.count < Self.batch else { return parcels }
      parcels.append(tunnel.parcel(keys: keys))
    }
    return parcels
  }

  /// How many connections there are, and things that may become one.
  private var left: Int {
    streams.count + pairs.count + tunnels.count + halfOpen.count + outside.count
      + unjoinedOutside.count + dialing.count + lingeringCloses + asked.load(ordering: .relaxed)
  }

  /// Ends the tunnels that carry nothing, and from now on each that comes to carry nothing; or does so no more.
  func retire(_ isRetired: Bool) {
    self.isRetired = isRetired
    guard isRetired else { return }
    for tunnel in Array(tunnels.values) where tunnel.isAtRest {
      tunnel.pool?.remove(tunnel)
      tunnel.close()
    }
  }

  // MARK: - Going on

  /// Goes on with it. `ended` is called when a pair that leads outside has ended.
  func goOn(with item: HandOverItem, ended: @escaping @Sendable (UInt64) -> Void) {
    switch item {
    case .stream(let stream): goOn(with: stream)
    case .pair(let pair): goOn(with: pair, ended: ended)
    case .tunnel(let inherited):
      guard let tunnel = goOn(with: inherited) else { return }
      if let pool = tunnel.pool { pool.put(tunnel) }
      tunnel.dispatch()
    }
  }

  /// Nil where its runner is denied, or the kernel has no memory for it: then both ends get an RST.
  private func goOn(with inherited: InheritedTunnel) -> TunnelConnection? {
    let channel = inherited.channel
    let pool = inherited.address.map {
      self.pool(TunnelPeer(runner: channel.peer.runner, address: $0))
    }
    let tunnel = TunnelConnection(channel, in: self, pool: pool)
    guard stopsAt == nil, shared.identities?.isDenied(channel.peer.serial) == false,
      watch(tunnel, channel.descriptor)
    else {
      linux_reset_on_close(channel.descriptor)
      return nil
    }
    tunnel.goOn(with: inherited.message, inherited.reader)
    adopt(tunnel)
    return tunnel
  }

  private func goOn(with inherited: InheritedStream) {
    let tunnels = [inherited.out, inherited.incoming].compactMap { $0 }.map(goOn)
    guard let out = tunnels.first ?? nil, let incoming = tunnels.last ?? nil else {
      for tunnel in tunnels { tunnel?.close() }
      inherited.local?.reset()
      return
    }
    let stream = Stream(inherited, on: out, and: incoming)
    (out.use, incoming.use) = (.stream(stream), .stream(stream))
    guard !inherited.message.localGone else { return stream.goOnWithoutLocal() }
    if let socket = inherited.local?.take() { stream.join(socket) }
  }

  private func goOn(
    with inherited: InheritedPair, ended: @escaping @Sendable (UInt64) -> Void
  ) {
    guard let first = inherited.near.take(), let second = inherited.far.take() else { return }
    let holder = inherited.message.holder
    let outside = inherited.deployment.map { deployment in
      SocketPair.Outside(deployment: deployment, holder: holder) { ended(holder) }
    }
    let (near, far) = (LocalSocket(first, in: self), LocalSocket(second, in: self))
    guard stopsAt == nil, near.watch(), far.watch() else {
      near.reset()
      far.reset()
      outside?.ended()
      return
    }
    let pair = SocketPair(
      near, far, in: self, carriesUrgent: inherited.message.carriesUrgent, outside: outside)
    (pair.outbound, pair.inbound) = (inherited.outbound, inherited.inbound)
    (near.hasShutDown, far.hasShutDown) = (inherited.inbound.isDone, inherited.outbound.isDone)
    pair.begin()
  }
}

extension Stream {
  /// One that another process had, which is to be joined next.
  fileprivate convenience init(
    _ inherited: InheritedStream, on out: TunnelConnection, and incoming: TunnelConnection
  ) {
    let message = inherited.message
    self.init(
      token: inherited.token, on: out, isOpener: message.opener, knowsUrgent: message.knowsUrgent,
      knowsDone: message.knowsDone, deployment: inherited.deployment)
    self.incoming = incoming
    (hasSentEnd, hasSentDone) = (message.sentEnd, message.sentDone)
    (hasSentReset, openerBytes) = (message.sentReset, inherited.openerBytes)
    (outPipe, isHeaderDue) = (inherited.outPipe, message.headerDue)

    frameLeft = Int(message.frameLeft)
    (hasReceivedEnd, hasReceivedDone) = (message.receivedEnd, message.receivedDone)
    (isShutdownDue, urgentDue) = (message.shutdownDue, inherited.urgentDue)
    message.held.withUnsafeBytes { held.hold($0) }
    inPipe = inherited.inPipe

    moveOut.hasRequested = message.moveRequested
    (moveOut.isImpossible, moveIn.isImpossible) = (message.cannotMoveOut, message.cannotMoveIn)
  }
}
