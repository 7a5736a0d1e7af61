import LinuxSystem
import Relay

/// The version of what istbpfd and istbpf-relay say to each other (relay.proto).
package let relayProtocol: UInt32 = 1

extension TCPSocketPair {
  /// Both ends, for other threads.
  package consuming func handoffs() -> (near: DescriptorHandoff, far: DescriptorHandoff) {
    (DescriptorHandoff(near), DescriptorHandoff(far))
  }
}
