import ControlAPI
import Dispatch
import Glibc
import LinuxSystem
import Logging
import Model
import Relay
import RelayControl
import Synchronization

/// istbpfd's end of istbpf-relay: starts it, tells it what there is, and tells it again where another one has taken its
/// place. What was told is kept here, so nobody need know whether there is a relay just now.
final class RelayLink: Sendable {
  /// What is told, as it was told last.
  struct Desired {
    var settings: Istbpf_Relay_V1_Settings
    /// Nil before anything was told: a relay that goes on keeps what it was told by the istbpfd before.
    var runners: Istbpf_Relay_V1_Runners?
    var deployments: [UInt32: Istbpf_Relay_V1_Deployment] = [:]
    /// Nil likewise.
    var services: [String: Istbpf_Relay_V1_PublicService]?
    /// What the relay could not take over whole.
    var refused: Set<Topic> = []
    /// How often each was told without an answer yet.
    var unanswered: [Topic: Int] = [:]

    /// What it is called in the log.
    func title(of topic: Topic) -> String {
      switch topic {
      case .runners: "where runners are"
      case .deployment(let id): deployments[id]?.name ?? "that deployment \(id) is no more"
      case .publicServices: "the services of the front door"
      case .whole: "that this is all"
      }
    }

    /// What there is of `topic` now, to be told whole.
    func command(for topic: Topic) -> Istbpf_Relay_V1_Command.OneOf_Command? {
      switch topic {
      case .runners: runners.map { .runners($0) }
      case .deployment(let id):
        deployments[id].map { .deployment($0) } ?? .withdrawn(.with { $0.id = id })
      case .publicServices:
        services.map { services in
          .publicServices(.with { ($0.services, $0.exact) = (Array(services.values), true) })
        }
      case .whole: .complete(.init())
      }
    }
  }

  /// What is told of by itself, and again where the relay refused it.
  enum Topic: Hashable {
    case runners
    /// By its id: what there is of it, or that it is no more.
    case deployment(UInt32)
    case publicServices
    /// That all there is has been told.
    case whole
  }

  struct State {
    var told: Desired
    /// The relay that has been told everything; nil where there is none.
    var connection: RelayConversation?
    var greeting: Istbpf_Relay_V1_Greeting?
    /// One that was told to end, so that this program's takes its place.
    var replaced: RelayConversation?
    /// Those that pass on what they carry, or carry what nobody can go on with, until they end.
    var leaving: [RelayConversation] = []
    /// When one was last asked to leave its place.
    var leftAt: ContinuousClock.Instant?
    /// Why there is none.
    var problem: String?
    /// How often no other relay could be put in place in a row, and when that is tried again by itself.
    var failures = 0
    var replaceAfter = ContinuousClock.now
    /// Those that were started here and not by systemd, which are children until they are reaped.
    var children: [ProcessHandle] = []
    /// How often one was started.
    var starts = 0
    var isWanted = false
    var isStopped = false
    /// Whether all that there is has been told once.
    var isComplete = false
  }

  /// What is done with what the relay tells by itself.
  struct Callbacks: Sendable {
    /// It connected nobody to where a rule led.
    let denied: @Sendable (Istbpf_Relay_V1_Denied) -> Void
    /// Another runner has a question, whose stream is joined to `socket`; the errno by which it is refused, or 0.
    let asked:
      @Sendable (_ runner: String, _ deployment: DeploymentName, _ socket: DescriptorHandoff) ->
        Int32
  }

  let installation: Installation
  let callbacks: Mutex<Callbacks?>
  let logger: Logger
  /// See `RunnerConfiguration.relayDrainSeconds`.
  let drainSeconds: UInt32
  let state: Mutex<State>
  let listeners = Mutex<[String: DescriptorHandoff]>([:])
  /// Nil where systemd keeps none.
  let units: RelayUnits?
  /// Locked while another relay takes the place of the one that runs.
  let replacing = Mutex(())
  /// Signalled when there is something to do for the thread that keeps the relay.
  let wakeup = DispatchSemaphore(value: 0)

  /// How long the relay may take for one command until it is taken for hung and killed.
  static let patience = DispatchTimeInterval.seconds(20)
  /// How long one that was started may take until it listens.
  static let startPatience = Duration.seconds(10)
  /// How often it is looked whether a relay of another program can be replaced.
  static let interval = DispatchTimeInterval.seconds(10)
  /// The pause after a start that failed.
  static let pause = DispatchTimeInterval.milliseconds(500)
  /// How long an answer for people may take.
  static let statisticsPatience = Duration.seconds(2)

  /// A link that has not been started. Throws `SystemError`.
  init(_ configuration: RunnerConfiguration, logger: Logger) throws {
    installation = configuration.installation
    drainSeconds = configuration.relayDrainSeconds
    units = RelayUnits(installation)
    self.logger = logger
    callbacks = Mutex(nil)
    state = Mutex(State(told: Desired(settings: try Istbpf_Relay_V1_Settings(configuration))))
  }

  /// The relay as people are shown it; nil where none is needed.
  var report: Istbpf_Control_V1_RelayStatus? {
    state.withLock { state in
      guard state.isWanted else { return nil }
      return .with {
        $0.pid = state.greeting?.pid ?? 0
        $0.version = state.greeting?.version ?? ""
        $0.startedAt = state.greeting?.startedAt ?? 0
        $0.problem = state.connection == nil ? state.problem ?? "it has not begun" : ""
        $0.leaving = RelayInstance.leaving(installation)
      }
    }
  }

  /// How often this istbpfd has started one.
  var starts: Int { state.withLock { $0.starts } }
}
