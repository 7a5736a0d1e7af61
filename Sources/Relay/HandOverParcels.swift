import Foundation
import HandOver
import Tunnel

/// What one connection, or a tunnel that carries none, is for another process; the descriptors are still this one's.
struct HandOverParcel {
  let item: Istbpf_Handover_V1_Item
  let descriptors: [Int32]
  /// Lets it go, since another process goes on with it.
  let letGo: () -> Void
}

extension Stream {
  /// What it is, for another process; for one that is at rest.
  func parcel(keys: HandOverKeys) -> HandOverParcel {
    var descriptors: [Int32] = []
    let message = Istbpf_Handover_V1_Stream.with { message in
      (message.tokenHigh, message.tokenLow) = (token.high, token.low)
      (message.opener, message.knowsUrgent, message.knowsDone) = (isOpener, knowsUrgent, knowsDone)
      message.deployment = deployment.rawValue
      message.localGone = local == nil
      if let local { descriptors.append(local.descriptor) }
      message.out = out.describe(keys: keys)
      descriptors.append(out.channel.descriptor)
      if incoming !== out {
        message.incoming = incoming.describe(keys: keys)
        descriptors.append(incoming.channel.descriptor)
      }

      (message.sentEnd, message.sentDone) = (hasSentEnd, hasSentDone)
      (message.sentReset, message.openerBytes) = (hasSentReset, UInt64(openerBytes))
      if let outPipe { message.outPipe = outPipe.describe(&descriptors) }
      message.headerDue = isHeaderDue

      message.frameLeft = UInt32(frameLeft)
      (message.receivedEnd, message.receivedDone) = (hasReceivedEnd, hasReceivedDone)
      message.shutdownDue = isShutdownDue
      if let urgentDue { message.urgentDue = UInt32(urgentDue) }
      message.held = Data(held.bytes)
      if let inPipe { message.inPipe = inPipe.describe(&descriptors) }

      message.moveRequested = moveOut.hasRequested
      (message.cannotMoveOut, message.cannotMoveIn) = (moveOut.isImpossible, moveIn.isImpossible)
    }
    return HandOverParcel(
      item: .with { $0.stream = message }, descriptors: descriptors, letGo: letGo)
  }
}

extension SocketPair {
  /// What it is, for another process; for one that is at rest.
  func parcel() -> HandOverParcel {
    var descriptors = [near.descriptor, far.descriptor]
    let message = Istbpf_Handover_V1_Pair.with { message in
      message.outbound = outbound.describe(&descriptors)
      message.inbound = inbound.describe(&descriptors)
      message.carriesUrgent = carriesUrgent
      if let outside {
        (message.deployment, message.holder) = (outside.deployment.rawValue, outside.holder)
      }
    }
    return HandOverParcel(
      item: .with { $0.pair = message }, descriptors: descriptors, letGo: letGo)
  }
}

extension SocketPair.Direction {
  fileprivate func describe(_ descriptors: inout [Int32]) -> Istbpf_Handover_V1_Pair.Direction {
    var message = Istbpf_Handover_V1_Pair.Direction()
    if let pipe { message.pipe = pipe.describe(&descriptors) }
    if let urgent { message.urgent = UInt32(urgent) }
    (message.ended, message.done) = (hasEnd, isDone)
    return message
  }
}

extension TunnelConnection {
  /// What it is, for another process; for one that carries nothing and is at rest.
  func parcel(keys: HandOverKeys) -> HandOverParcel {
    let message = describe(keys: keys)
    return HandOverParcel(
      item: .with { $0.tunnel = message }, descriptors: [channel.descriptor], letGo: letGo)
  }
}

extension Pipe {
  fileprivate func describe(_ descriptors: inout [Int32]) -> Istbpf_Handover_V1_Pipe {
    descriptors += [input, output]
    return .with { $0.count = UInt32(count) }
  }
}
