import Glibc
import HandOver
import LinuxSystem
import Model
import RelayControl

/// Having another istbpf-relay take the place of the one that runs, with the connections that it carries.
extension RelayLink {
  /// Starts a relay that takes the place of the one at the other end of `old`, and goes on with its connections. Throws
  /// where it does not; then that one goes on.
  func handOver(from old: RelayConversation) throws {
    let (giving, taking) = try HandOverChannel.pair()
    let order = Istbpf_Relay_V1_HandOver.with { $0.drainSeconds = drainSeconds }
    if case .refused(let refused) = try ask(old, .handOver(order), with: giving.descriptor).report {
      throw RunnerError.relayRefused(refused.problem)
    }
    // From here on it answers to another relay's lock, and is asked for nothing new.
    state.withLock { $0.leaving.append(old) }
    do {
      try startIntroduced()
      guard let new = state.withLock({ $0.connection }), new !== old else {
        throw RunnerError.noRelay("another one has not been started")
      }
      let answer = try ask(new, .takeOver(.init()), with: taking.descriptor)
      if case .refused(let refused) = answer.report {
        throw RunnerError.relayRefused(refused.problem)
      }
    } catch {
      // With its channel closed it takes its place again.
      logger.error("the connections of istbpf-relay are not passed on: \(error)")
      state.withLock { state in
        state.leaving.removeAll { $0 === old }
        if state.connection == nil { state.connection = old }
      }
      throw error
    }
    logger.notice("another istbpf-relay has taken over, and is passed the connections")
  }
}
