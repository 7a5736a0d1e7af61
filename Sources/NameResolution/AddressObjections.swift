import LinuxSystem
import Model
import Synchronization

/// Says which addresses a name must not lead to: whoever has the name chooses them.
public final class AddressObjections: Sendable {
  private struct State {
    /// The interface of each of this runner's addresses; nil where they cannot be listed.
    var own: [IPv4Address: String]?
    /// When they were listed.
    var listed = -BootTime.infinity
    /// The name of the runner that takes tunnels at an address.
    var runners: [IPv4Address: String] = [:]
  }

  private let plan: AddressPlan
  private let state = Mutex(State())
  /// How long, in seconds, a list of this runner's addresses is relied on.
  private static let lasting = 5.0

  /// Objections to what belongs to `plan`, to this runner or to none; `update` adds other runners.
  public init(plan: AddressPlan) { self.plan = plan }

  /// Takes over where runners take their tunnels: their addresses, as `SocketAddress` reads them, by name.
  public func update(addresses: [String: String]) {
    var names: [IPv4Address: String] = [:]
    for (name, text) in addresses {
      if let host = SocketAddress(text)?.host, let address = IPv4Address(host) {
        names[address] = name
      }
    }
    state.withLock { $0.runners = names }
  }

  /// Why an address must not be opened for a name; nil where it may. To be asked by a thread in the host's
  /// network namespace.
  public func objection(to address: IPv4Address) -> String? {
    if let reason = plan.objection(toAddressOfName: address) { return reason }
    return state.withLock { state in
      if bootTimeNow() - state.listed > Self.lasting {
        state.own = (try? InterfaceAddress.all()).map { addresses in
          Dictionary(
            addresses.map { (IPv4Address($0.address), $0.interface) },
            uniquingKeysWith: { first, _ in first })
        }
        state.listed = bootTimeNow()
      }
      // Rather nothing than this runner itself.
      guard let own = state.own else { return "this runner's own addresses cannot be listed" }
      if let interface = own[address] { return "it is this runner's own, on \(interface)" }
      return state.runners[address].map { "runner \($0) takes its tunnels there" }
    }
  }
}
