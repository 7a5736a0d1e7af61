import Foundation
import Glibc
import HandOver
import Relay
import RelayControl
import Synchronization

/// Leaving a relay's place to another one, and taking another one's.
extension CommandHandler {
  /// How long a relay that was to take this one's place may take to end, in milliseconds.
  private static let retaken = 5000
  /// How often is looked whether what goes on here has ended, in microseconds.
  private static let interval: UInt32 = 200_000

  /// Leaves its place; then passes on what it carries on `socket`, and ends. Throws where it cannot leave.
  func handOver(_ order: Istbpf_Relay_V1_HandOver, _ socket: DescriptorHandoff?) throws {
    guard let socket = socket?.take() else { throw ImpossibleMessage("no socket for a hand-over") }
    let channel = try HandOverChannel(socket)
    let carrier = try leave()
    logger.notice("another istbpf-relay takes this one's place")
    let until: ContinuousClock.Instant? =
      order.drainSeconds > 0 ? .now + .seconds(Int64(order.drainSeconds)) : nil
    Thread.detachNewThread { [self] in
      let isInTime = { until.map { ContinuousClock.now < $0 } ?? true }
      do {
        let summary = try carrier.handOver(on: channel) { left in
          (left > 0 || carrier.isServing || isTakingOver) && isInTime()
        }
        let (median, most) = summary.pauses
        logger.notice(
          """
          passed on \(summary.count) connections and idle tunnels, each of which stood still for \
          \(milliseconds(median)) ms in the median, and for \(milliseconds(most)) ms at the most
          """)
      } catch let error as OtherHandOverVersion {
        // It takes what is new all the same, and what is told is told both.
        logger.notice("connections end here, and not in the next istbpf-relay: \(error)")
        drain(carrier, while: isInTime)
      } catch {
        logger.warning("not everything could be passed on: \(error)")
        if takeAgain() { return }
        // It is the other one's place, and that one is told what there is.
        drain(carrier, while: isInTime)
      }
      stop()
    }
  }

  /// Carries what there is to its end, since another relay has this one's place. Returns when that is over, or `isInTime`
  /// says no.
  private func drain(_ carrier: Carrier, while isInTime: () -> Bool) {
    carrier.retire()
    carrier.closeListeners()
    while !carrier.isIdle || carrier.isServing || isTakingOver, isInTime() {
      usleep(Self.interval)
    }
  }

  private func milliseconds(_ value: Double) -> String { String(format: "%.1f", value) }

  /// Goes on with what comes on `socket`.
  func takeOver(_ socket: DescriptorHandoff?) throws {
    guard let socket = socket?.take() else { throw ImpossibleMessage("no socket for a hand-over") }
    let channel = try HandOverChannel(socket)
    let carrier = try startedCarrier()
    takingOver.wrappingAdd(1, ordering: .relaxed)
    Thread.detachNewThread { [self] in
      defer { takingOver.wrappingSubtract(1, ordering: .relaxed) }
      do {
        let count = try carrier.takeOver(on: channel)
        logger.notice("took over \(count) connections and idle tunnels of another istbpf-relay")
      } catch let error as OtherHandOverVersion {
        logger.notice("connections end in the istbpf-relay before, and not here: \(error)")
      } catch {
        logger.error("not everything could be taken over: \(error)")
      }
    }
  }

  /// Whether another relay passes something on to this one still.
  private var isTakingOver: Bool { takingOver.load(ordering: .relaxed) > 0 }

  /// Takes its place again, since nobody else has; false where somebody has.
  private func takeAgain() -> Bool {
    do { try place.takeAgain(within: Self.retaken) } catch {
      logger.notice("another istbpf-relay has this one's place: \(error)")
      endConversation()
      return false
    }
    // The next istbpfd that opens the socket says what there is.
    do { try goOnAlone() } catch { logger.error("not everything is taken again: \(error)") }
    logger.notice("nobody has taken this istbpf-relay's place: it goes on")
    return true
  }
}
