/// What a request may say of where it comes from, who sends it and what it was before: headers of
/// proxies, which services believe. From outside they are anyone's words, so the front door drops them.
enum ClientClaims {
  /// Headers whose names begin so.
  private static let prefixes = [
    "x-forwarded", "forwarded", "x-original-", "x-ssl-", "ssl-client", "x-client-cert",
    "x-client-verify", "x-client-dn", "client-cert", "x-envoy-", "x-azure-", "x-appengine-",
  ]

  private static let names = [
    // The client's address.
    "x-real-ip", "real-ip", "x-client-ip", "client-ip", "x-true-client-ip", "true-client-ip",
    "x-cluster-client-ip", "cluster-client-ip", "x-remote-ip", "x-remote-addr", "remote-addr",
    "x-originating-ip", "x-proxyuser-ip", "proxy-client-ip", "wl-proxy-client-ip",
    "cf-connecting-ip", "cf-connecting-ipv6", "cf-pseudo-ipv4", "cf-visitor", "fastly-client-ip",
    "fastly-ssl", "fly-client-ip", "x-nf-client-connection-ip",
    // What it asked for.
    "x-host", "x-scheme", "x-url-scheme", "x-http-host-override", "x-rewrite-url",
    "x-script-name", "front-end-https",
    // Who it is.
    "remote-user", "x-remote-user", "x-authenticated-user",
    // A CGI program would take it for the variable HTTP_PROXY.
    "proxy",
  ]

  /// The rules that drop them. HAProxy has names in lower case; a `_` passes for the `-` that it stands
  /// for in the variables of CGI and WSGI.
  static var rules: String {
    var rules: [String] = []
    for group in groups(prefixes, of: 6) { rules.append(rule("^(\(group))")) }
    for group in groups(names, of: 12) { rules.append(rule("^(\(group))$")) }
    // A service that took it would speak HTTP/2 with the client itself, whose headers nobody would look at then.
    rules.append("  http-request del-header Upgrade if { req.hdr(upgrade) -m sub -i h2 }")
    rules.append("  http-request del-header http2-settings")
    // A `Connection: X-Forwarded-For` would have the next proxy drop that header.
    rules.append("  http-request set-header Connection upgrade if { req.hdr(upgrade) -m found }")
    rules.append("  http-request del-header Connection unless { req.hdr(upgrade) -m found }")
    return rules.joined(separator: "\n")
  }

  private static func rule(_ expression: String) -> String {
    "  http-request del-header \(expression) -m reg"
  }

  /// HAProxy's lines are bounded, so no expression is very long.
  private static func groups(_ names: [String], of size: Int) -> [String] {
    stride(from: 0, to: names.count, by: size).map { start in
      names[start..<min(start + size, names.count)].joined(separator: "|")
        .split(separator: "-", omittingEmptySubsequences: false).joined(separator: "[-_]")
    }
  }
}
