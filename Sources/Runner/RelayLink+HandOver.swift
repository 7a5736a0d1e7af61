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
    let order = Istbpf_Relay_V1_HandOver.with {
      ($0.drainSeconds, $0.version) = (drainSeconds, handOverVersion)
    }
    // Before it is asked, since it is taken out again as it ends.
    state.withLock { state in
      state.leaving.append(old)
      state.leftAt = .now
    }
    do {
      let answer = try ask(old, .handOver(order), with: giving.descriptor)
      if case .refused(let refused) = answer.report {
        throw RunnerError.relayRefused(refused.problem)
      }
    } catch {
      state.withLock { state in state.leaving.removeAll { $0 === old } }
      throw error
    }
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
      logger.error("the connections of istbpf-relay are not passed on: \(error)")
      taking.end()
      giveUp(old)
      throw error
    }
    state.withLock { $0.failures = 0 }
    logger.notice(
      "another istbpf-relay has taken over, and the one before passes on what it carries, if it can"
    )
  }

  /// No other relay takes its place. It hears its channel end and takes its place again, if nobody else has; whoever has it
  /// is told everything anew, also what was told meanwhile.
  private func giveUp(_ old: RelayConversation) {
    let until = ContinuousClock.now + Self.returnPatience
    while RelayInstance.running(installation) == nil, .now < until { usleep(5000) }
    state.withLock { state in
      (state.failures, state.replaceAfter) = (
        state.failures + 1, .now + Self.backoff(state.failures)
      )
      if state.connection === old { (state.connection, state.greeting) = (nil, nil) }
    }
    old.channel.end()
    wakeup.signal()
  }

  /// How long no other relay is tried to be put in place by itself, after so many failures before this one.
  private static func backoff(_ failures: Int) -> Duration { .seconds(10 << min(failures, 6)) }

  /// A relay that takes its place again, since the next one has ended while connections were passed on to it; nil where
  /// none does so in time.
  func returning() throws -> RelayConversation? {
    let mayReturn = state.withLock { state in
      !state.leaving.isEmpty && state.leftAt.map { .now - $0 < Self.passingOn } ?? false
    }
    guard mayReturn else { return nil }
    let until = ContinuousClock.now + Self.returnPatience
    while ContinuousClock.now < until {
      if let connection = try connect() { return connection }
      usleep(5000)
    }
    return nil
  }

  /// How long a relay may take to pass on what it carries; one that has more to do carries that to its end.
  private static let passingOn = Duration.seconds(60)
  /// How long one may take to take its place again.
  private static let returnPatience = Duration.milliseconds(1500)
}
