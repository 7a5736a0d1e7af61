import Hummingbird

/// The name of a header.
private typealias HeaderName = HTTPFields.Element.Name

/// Keeps other people's pages out, and has a browser do with ours nothing that they have no use for.
///
/// - A request must name loopback as its host. The page of a site that gives its own name this machine's address (DNS
///   rebinding) names that site.
/// - A request that a browser says another site's page made is refused.
struct PageGuard: RouterMiddleware {
  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    var response: Response
    do {
      try check(request)
      response = try await next(request, context)
    } catch let error as HTTPError {
      response = Response(
        status: error.status, headers: [.contentType: "text/plain; charset=utf-8"],
        body: .init(byteBuffer: .init(string: (error.body ?? "\(error.status)") + "\n")))
    }
    for (name, value) in Self.headers { response.headers[name] = value }
    return response
  }

  private func check(_ request: Request) throws(HTTPError) {
    guard let host = request.head.authority, Self.isLoopback(host) else {
      throw HTTPError(.misdirectedRequest, message: "this page is at 127.0.0.1 or localhost only")
    }
    let site = request.headers[.secFetchSite]
    guard site == nil || site == "same-origin" || site == "none" else {
      throw HTTPError(.forbidden, message: "another site's page asks for this")
    }
    if let origin = request.headers[.origin], origin != "http://\(host)" {
      throw HTTPError(.forbidden, message: "another site's page asks for this")
    }
  }

  /// Whether `authority`, a name or address with a port or without one, is this machine's loopback. A port may be
  /// another one than ours: that of an SSH tunnel.
  static func isLoopback(_ authority: String) -> Bool {
    let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
    if authority.hasPrefix("[::1]") {
      let port = authority.dropFirst("[::1]".count)
      return port.isEmpty || port.first == ":" && port.dropFirst().allSatisfy(\.isNumber)
    }
    guard (1...2).contains(parts.count), parts.dropFirst().allSatisfy({ $0.allSatisfy(\.isNumber) })
    else { return false }
    return parts[0] == "127.0.0.1" || parts[0].lowercased() == "localhost"
  }

  private static var headers: [(HeaderName, String)] {
    [
      (
        .contentSecurityPolicy,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
          + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
      ),
      (.xContentTypeOptions, "nosniff"), (.xFrameOptions, "DENY"), (.referrerPolicy, "no-referrer"),
      (.crossOriginResourcePolicy, "same-origin"), (.crossOriginOpenerPolicy, "same-origin"),
      (.cacheControl, "no-store"),
    ]
  }
}

/// Wants the token, in a header, which no other page can send: so there is no cookie, which every port of this host
/// would share.
struct TokenGuard: RouterMiddleware {
  let token: PageToken

  func handle(
    _ request: Request, context: BasicRequestContext,
    next: (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    let scheme = "Bearer "
    guard let given = request.headers[.authorization], given.hasPrefix(scheme),
      token.isSame(as: given.dropFirst(scheme.count))
    else {
      throw HTTPError(
        .unauthorized,
        message: "the token is missing or wrong: open the address that istbpf ui printed")
    }
    return try await next(request, context)
  }
}

extension HeaderName {
  fileprivate static let crossOriginOpenerPolicy = constant("Cross-Origin-Opener-Policy")
  fileprivate static let referrerPolicy = constant("Referrer-Policy")
  fileprivate static let secFetchSite = constant("Sec-Fetch-Site")
  fileprivate static let xFrameOptions = constant("X-Frame-Options")

  private static func constant(_ name: String) -> HeaderName {
    guard let made = HeaderName(name) else { preconditionFailure("\(name) is a header's name") }
    return made
  }
}
