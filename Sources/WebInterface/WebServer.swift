import ControlAPI
import Dataplane
import Foundation
import Hummingbird
import Logging
import SwiftProtobuf

/// Serves the page of `istbpf ui` on loopback, to whoever knows the token. What the page shows istbpfd is asked for as
/// whoever started the server, on the control socket.
package struct WebServer: Sendable {
  /// How many pages may be open at once.
  static let maximumPages = 64

  private let token: PageToken
  private let socketPath: String
  private let port: Int
  private let feeds: Feeds

  /// A server on `port` of 127.0.0.1, 0 for a free one, for the istbpfd whose control socket is at `socketPath`.
  package init(controlSocketPath socketPath: String, port: Int, token: PageToken) {
    (self.socketPath, self.port, self.token) = (socketPath, port, token)
    feeds = Feeds(socketPath: socketPath)
  }

  /// Runs until the task is cancelled. `ready` gets the page's address once it can be opened.
  ///
  /// Throws where the port cannot be used.
  package func run(ready: @escaping @Sendable (_ address: String) -> Void) async throws {
    var logger = Logger(label: "istbpf ui")
    logger.logLevel = .error
    let application = Application(
      router: router(),
      configuration: .init(address: .hostname("127.0.0.1", port: port), serverName: "istbpf"),
      onServerRunning: { [token] channel in
        let port = channel.localAddress?.port ?? 0
        ready("http://127.0.0.1:\(port)/#\(token.text)")
      }, logger: logger)
    try await application.run()
  }

  private func router() -> Router<BasicRequestContext> {
    let router = Router()
    router.add(middleware: PageGuard())
    for file in PageFile.all {
      router.get(RouterPath(file.path)) { _, _ in file.response }
    }
    let api = router.group("api").add(middleware: TokenGuard(token: token))
    api.get("status") { [socketPath] _, _ in
      try await Self.answer {
        try await ControlClient.connect(to: socketPath) { try await $0.getStatus(.init()) }
      }
    }
    api.get("explain") { [socketPath] request, _ in
      let asked = Istbpf_Control_V1_ExplainRequest.with {
        $0.deployment = request.uri.queryParameters.get("deployment") ?? ""
        $0.service = request.uri.queryParameters.get("service") ?? ""
        $0.target = request.uri.queryParameters.get("target") ?? ""
      }
      return try await Self.answer {
        try await ControlClient.connect(to: socketPath) { try await $0.explain(asked) }
      }
    }
    api.get("reasons") { _, _ in
      let reasons = Reason.allCases.map { ($0.identifier, $0.explanation) }
      return Self.json(
        try JSONEncoder().encode(Dictionary(reasons, uniquingKeysWith: { first, _ in first })))
    }
    api.get("feed") { [feeds] request, _ in
      guard let deployment = request.uri.queryParameters.get("deployment"), !deployment.isEmpty
      else { throw HTTPError(.badRequest, message: "which deployment?") }
      guard let messages = await feeds.messages(of: deployment) else {
        throw HTTPError(
          .serviceUnavailable, message: "\(Self.maximumPages) pages are open already")
      }
      return Response(
        status: .ok, headers: [.contentType: "text/event-stream"],
        body: ResponseBody { writer in
          for await message in messages {
            try await writer.write(ByteBuffer(string: message.text))
          }
          try await writer.finish(nil)
        })
    }
    return router
  }

  /// What istbpfd answers, as protobuf has it in JSON; what it refuses is 422, with its words.
  private static func answer<Answer: Message>(
    _ ask: () async throws -> Answer
  ) async throws -> Response {
    do {
      return json(try await ask().jsonUTF8Data())
    } catch let failure as ControlClient.Failure {
      throw HTTPError(.unprocessableContent, message: failure.description)
    }
  }

  private static func json(_ data: Data) -> Response {
    Response(
      status: .ok, headers: [.contentType: "application/json"],
      body: .init(byteBuffer: ByteBuffer(bytes: data)))
  }
}

/// The feed of each deployment that somebody has looked at.
private actor Feeds {
  private let socketPath: String
  private var feeds: [String: DeploymentFeed] = [:]

  init(socketPath: String) { self.socketPath = socketPath }

  /// The messages of a new page; nil where there are too many.
  func messages(of deployment: String) async -> AsyncStream<PageMessage>? {
    var open = 0
    for feed in feeds.values { open += await feed.pageCount }
    guard open < WebServer.maximumPages else { return nil }
    let feed = feeds[deployment] ?? DeploymentFeed(of: deployment, socketPath: socketPath)
    feeds[deployment] = feed
    return await feed.messages()
  }
}
