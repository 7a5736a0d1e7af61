import Foundation

/// What `istbpf observe --json` shows, from when this is made.
public final class Observation: Sendable {
  /// One object, as far as tests look at it.
  public struct Event: Decodable, Sendable {
    /// One end of a connection.
    public struct End: Decodable, Hashable, Sendable {
      /// `shop/app.2`.
      public let name: String?
      /// The address.
      public let address: String?
      /// The port.
      public let port: UInt16?
    }

    /// What it is about.
    public let event: String
    /// Where it happened.
    public let runner: String?
    /// Why a runner does not tell.
    public let problem: String?
    /// When it happened.
    public let time: String?
    /// Who connected or sent, and to whom.
    public let source, destination: End?
    /// `tcp` and others.
    public let `protocol`: String?
    /// The process and its name.
    public let pid: Int32?
    /// The process's name.
    public let command: String?
    /// Why it was denied.
    public let reason: String?
    /// What to do instead.
    public let advice: String?
    /// Bytes.
    public let sent, received: Int?
    /// How long it was.
    public let durationNanoseconds: Int?
    /// Of what was left out: whose.
    public let instance: String?
    /// Of what was left out: how many.
    public let denials, connections, count: Int?
  }

  /// The command.
  public let command: Conversation

  fileprivate init(_ command: Conversation) throws {
    self.command = command
    let first = try next(within: 30)
    guard first.event == "observing" else {
      throw Conversation.Silence(description: "begins with \(first)")
    }
  }

  /// The next event; throws `Silence` where there is none within `patience` seconds,
  /// times `slowness`.
  public func next(within patience: Double = 10) throws -> Event {
    let line = try command.nextLine(patience: patience * Double(slowness))
    return try JSONDecoder().decode(Event.self, from: Data(line.utf8))
  }

  /// The next event of a kind; throws `Silence` where there is none.
  public func next(_ kind: String, within patience: Double = 10) throws -> Event {
    while true {
      let event = try next(within: patience)
      if event.event == kind { return event }
    }
  }

  /// All that comes until nothing has for `patience` seconds, times `slowness`.
  public func rest(patience: Double = 1.5) -> [Event] {
    var events: [Event] = []
    while let event = try? next(within: patience) { events.append(event) }
    return events
  }
}

extension RunnerLaboratory {
  /// Begins to observe.
  public func observe(_ options: String...) throws -> Observation {
    let conversation = try Conversation(commandLine(["observe", "--json"] + options))
    laboratory.atEnd { conversation.stop() }
    return try Observation(conversation)
  }
}
