import Glibc
import LinuxSystem
import Model
import Synchronization

/// What the streams of a relay together, and those of one deployment, may have the kernel keep for them.
///
/// What is beyond is not refused, but goes without more than the least: `BufferLimits.scarce`.
final class BufferBudget: Sendable {
  private let total: Int
  private let state = Mutex((taken: Account(), lent: Account()))

  /// Bytes of all streams together, and of those of each deployment.
  private struct Account {
    var all = 0
    var byDeployment: [DeploymentName: Int] = [:]

    /// Adds `bytes`, unless there were more than `most` then, or more than half of that of one deployment.
    mutating func add(_ bytes: Int, for deployment: DeploymentName, most: Int) -> Bool {
      let own = byDeployment[deployment, default: 0] + bytes
      guard all + bytes <= most, own <= most / 2 else { return false }
      all += bytes
      byDeployment[deployment] = own
      return true
    }

    mutating func remove(_ bytes: Int, for deployment: DeploymentName) {
      guard bytes > 0 else { return }
      all -= bytes
      let own = byDeployment[deployment, default: 0] - bytes
      byDeployment[deployment] = own > 0 ? own : nil
    }
  }

  /// `total` bytes, of which one deployment has half at most.
  init(total: Int) { self.total = total }

  /// Takes `bytes` for a stream of `deployment`; false where there are not so many left.
  func take(_ bytes: Int, for deployment: DeploymentName) -> Bool {
    state.withLock { $0.taken.add(bytes, for: deployment, most: total) }
  }

  /// Gives back what was taken.
  func give(_ bytes: Int, for deployment: DeploymentName) {
    state.withLock { $0.taken.remove(bytes, for: deployment) }
  }

  /// Lends `bytes` to a stream of `deployment` that rests: its sender was promised that it may send so much more than what
  /// is taken for it, and as a rule does not. Half as much again as may be taken; false where that is used up.
  func lend(_ bytes: Int, to deployment: DeploymentName) -> Bool {
    state.withLock { $0.lent.add(bytes, for: deployment, most: total / 2) }
  }

  /// Gives back what was lent.
  func giveLentBack(_ bytes: Int, of deployment: DeploymentName) {
    state.withLock { $0.lent.remove(bytes, for: deployment) }
  }

  /// What is lent now, in bytes.
  var lent: Int { state.withLock { $0.lent.all } }

  /// What is taken now, in bytes.
  var taken: Int { state.withLock { $0.taken.all } }

  /// A quarter of what all TCP of this host may have before the kernel begins to save (tcp_mem), in bytes.
  static let standard: Int = {
    // Else a small machine's.
    (pagesOfTCP() ?? 65_536) * Int(sysconf(Int32(_SC_PAGESIZE))) / 4
  }()

  private static func pagesOfTCP() -> Int? {
    guard let file = try? OwnedDescriptor(opening: "/proc/sys/net/ipv4/tcp_mem", flags: O_RDONLY)
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: 128)
    let count = read(file.rawValue, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return Int(String(decoding: bytes.prefix { $0 >= 0x30 && $0 <= 0x39 }, as: UTF8.self))
  }
}
