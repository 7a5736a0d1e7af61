import Synchronization

/// Which loop has idle tunnels to which peer, for the threads that ask for streams.
final class IdleTunnelIndex: Sendable {
  private let loops = Mutex<[TunnelPeer: Set<Int>]>([:])

  /// The loop `index` has some now, or has none.
  func note(_ peer: TunnelPeer, _ index: Int, hasIdle: Bool) {
    loops.withLock { loops in
      if hasIdle {
        loops[peer, default: []].insert(index)
      } else if loops[peer]?.remove(index) != nil, loops[peer]?.isEmpty == true {
        loops[peer] = nil
      }
    }
  }

  /// The loops that have idle tunnels to `peer`.
  func loops(with peer: TunnelPeer) -> Set<Int> { loops.withLock { $0[peer] ?? [] } }
}

extension Relay {
  /// The loop for a new stream to `peer`: one of those that have the least to do, give or take one
  /// stream, and of these one that has an idle tunnel, so that no handshake is needed. By tunnels
  /// alone, streams that last would gather in one loop.
  func chooseLoop(for peer: TunnelPeer, turn: Int) -> EventLoop {
    let loads = loops.map(\.load)
    let least = loads.min() ?? 0
    let having = shared.idleTunnels.loops(with: peer)
    func first(where isFit: (Int) -> Bool) -> Int? {
      for offset in loops.indices {
        let index = (turn + offset) % loops.count
        if isFit(index) { return index }
      }
      return nil
    }
    let index =
      first { having.contains($0) && loads[$0] <= least + 1 } ?? first { loads[$0] == least }
    return loops[index ?? 0]
  }
}
