import Model
import Tunnel

/// Something that a log wants to have. Events come on the event loops' threads: do not block there.
public enum RelayEvent: Sendable {
  /// A tunnel is ready; `incoming` where the peer made it.
  case tunnelReady(PeerCertificate, incoming: Bool, send: TunnelMode, receive: TunnelMode)
  /// A tunnel could not be made, or was refused.
  case handshakeFailed(TunnelError, incoming: Bool)
  /// A tunnel with a stream on it broke, and the stream's program was sent an RST.
  case streamTruncated(PeerCertificate, TunnelError)
  /// A peer broke the protocol, and its tunnel was closed.
  case protocolViolation(PeerCertificate, String)
  /// A runner with which there are connections has ceased to answer, or answers again.
  case peerReachable(RunnerIdentifier, Bool)
  /// Live tunnels of a certificate were ended, so many.
  case tunnelsKilled(Int)
  /// A listener could not accept: out of descriptors or memory, by errno.
  case acceptFailed(Int32)
}
