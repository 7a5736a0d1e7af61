import HandOver
import LinuxSystem
import Model
import Tunnel

/// What another process has passed on: all is there, nothing has been touched, and it is no loop's yet.
enum HandOverItem {
  case stream(InheritedStream)
  case pair(InheritedPair)
  case tunnel(InheritedTunnel)

  /// Takes the descriptors and keys of `item`; nil where what it says cannot be.
  init?(
    _ item: Istbpf_Handover_V1_Item, _ descriptors: ReceivedDescriptors, _ keys: HandOverKeys
  ) {
    switch item.item {
    case .stream(let message):
      guard let stream = InheritedStream(message, descriptors, keys) else { return nil }
      self = .stream(stream)
    case .pair(let message):
      guard let pair = InheritedPair(message, descriptors) else { return nil }
      self = .pair(pair)
    case .tunnel(let message):
      guard let tunnel = InheritedTunnel(message, descriptors, keys) else { return nil }
      self = .tunnel(tunnel)
    case nil: return nil
    }
  }

  /// Which of `count` loops it has to be of, by which the other runner asks for it; nil where that is all the same.
  func loop(of count: Int) -> Int? {
    if case .stream(let stream) = self, !stream.message.opener {
      stream.token.loop % count
    } else {
      nil
    }
  }
}

/// A tunnel of another process.
struct InheritedTunnel {
  let message: Istbpf_Handover_V1_Tunnel
  let channel: TunnelChannel
  let reader: FrameReader
  /// Where its runner takes tunnels, if this one made it.
  let address: SocketAddress?

  init?(
    _ message: Istbpf_Handover_V1_Tunnel, _ descriptors: ReceivedDescriptors, _ keys: HandOverKeys
  ) {
    guard let socket = descriptors.take(),
      let channel = TunnelChannel(message, keys: keys, socket: socket),
      let reader = FrameReader(beginning: message.header, count: Int(message.headerCount))
    else { return nil }
    address = message.address.isEmpty ? nil : SocketAddress(message.address)
    guard (address == nil) == message.address.isEmpty else { return nil }
    (self.message, self.channel, self.reader) = (message, channel, reader)
  }
}

/// A stream of another process.
struct InheritedStream {
  let message: Istbpf_Handover_V1_Stream
  let token: StreamToken
  let deployment: DeploymentName
  let local: DescriptorHandoff?
  let out: InheritedTunnel
  let incoming: InheritedTunnel?
  let outPipe: Pipe?
  let inPipe: Pipe?
  let urgentDue: UInt8?
  let openerBytes: Int

  init?(
    _ message: Istbpf_Handover_V1_Stream, _ descriptors: ReceivedDescriptors, _ keys: HandOverKeys
  ) {
    local = message.localGone ? nil : DescriptorHandoff(next: descriptors)
    guard (local == nil) == message.localGone, message.hasOut,
      let deployment = try? DeploymentName(message.deployment),
      let out = InheritedTunnel(message.out, descriptors, keys)
    else { return nil }
    incoming =
      message.hasIncoming ? InheritedTunnel(message.incoming, descriptors, keys) : nil
    outPipe = message.hasOutPipe ? Pipe(message.outPipe, descriptors) : nil
    inPipe = message.hasInPipe ? Pipe(message.inPipe, descriptors) : nil
    urgentDue = message.hasUrgentDue ? UInt8(exactly: message.urgentDue) : nil
    guard (incoming == nil) == !message.hasIncoming, (outPipe == nil) == !message.hasOutPipe,
      (inPipe == nil) == !message.hasInPipe, (urgentDue == nil) == !message.hasUrgentDue,
      let openerBytes = Int(exactly: message.openerBytes),
      message.held.count <= TunnelChannel.batch,
      // Both tunnels are with the runner that the stream is with.
      incoming.map({ $0.channel.peer.runner == out.channel.peer.runner }) ?? true
    else { return nil }
    (self.message, self.deployment, self.out) = (message, deployment, out)
    self.openerBytes = openerBytes
    token = StreamToken(high: message.tokenHigh, low: message.tokenLow)
  }
}

/// A pair of another process.
struct InheritedPair {
  let message: Istbpf_Handover_V1_Pair
  /// Whose it is, where it leads outside.
  let deployment: DeploymentName?
  let near: DescriptorHandoff
  let far: DescriptorHandoff
  let outbound: SocketPair.Direction
  let inbound: SocketPair.Direction

  init?(_ message: Istbpf_Handover_V1_Pair, _ descriptors: ReceivedDescriptors) {
    deployment = try? DeploymentName(message.deployment)
    guard (deployment == nil) == message.deployment.isEmpty,
      let near = DescriptorHandoff(next: descriptors),
      let far = DescriptorHandoff(next: descriptors),
      let outbound = SocketPair.Direction(message.outbound, descriptors),
      let inbound = SocketPair.Direction(message.inbound, descriptors)
    else { return nil }
    (self.message, self.near, self.far) = (message, near, far)
    (self.outbound, self.inbound) = (outbound, inbound)
  }
}

extension DescriptorHandoff {
  /// The next of those that came; nil where there is none.
  fileprivate convenience init?(next descriptors: ReceivedDescriptors) {
    guard let descriptor = descriptors.take() else { return nil }
    self.init(descriptor)
  }
}

extension SocketPair.Direction {
  fileprivate init?(
    _ message: Istbpf_Handover_V1_Pair.Direction, _ descriptors: ReceivedDescriptors
  ) {
    pipe = message.hasPipe ? Pipe(message.pipe, descriptors) : nil
    urgent = message.hasUrgent ? UInt8(exactly: message.urgent) : nil
    guard (pipe == nil) == !message.hasPipe, (urgent == nil) == !message.hasUrgent else {
      return nil
    }
    (hasEnd, isDone) = (message.ended, message.done)
  }
}

extension Pipe {
  fileprivate convenience init?(
    _ message: Istbpf_Handover_V1_Pipe, _ descriptors: ReceivedDescriptors
  ) {
    guard (1...Self.capacity).contains(Int(message.count)), let input = descriptors.take(),
      let output = descriptors.take()
    else { return nil }
    self.init(input: input, output: output, count: Int(message.count))
  }
}
