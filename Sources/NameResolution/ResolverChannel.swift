import CCares
import Glibc
import Model

/// Queries to the host's resolver: /etc/hosts and the servers of resolv.conf in the order of nsswitch.conf,
/// over UDP, and over TCP where an answer was cut. Not a thread's but the one that made it.
final class ResolverChannel {
  /// How many queries wait for an answer.
  private(set) var pending = 0
  /// Those that have ended since this was last emptied.
  var ended: [(name: HostName, outcome: LookupOutcome)] = []
  /// What c-ares waits for, as poll(2) has it.
  private(set) var awaited: [Int32: Int16] = [:]
  private var channel: ares_channel?

  /// c-ares's own beginning, once a process and before any channel.
  private static let beginning = ares_library_init(ARES_LIB_INIT_ALL)

  /// A channel with the servers that the file `resolvConf` names now. Throws `ResolverFault`.
  init(resolvConf: String) throws {
    try Self.check(Self.beginning, "begin")
    var options = ares_options()
    // Not the search domains, nor HOSTALIASES: a name means the same on every runner.
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES
    options.sock_state_cb_data = Unmanaged.passUnretained(self).toOpaque()
    options.sock_state_cb = { context, descriptor, reads, writes in
      guard let context else { return }
      let channel = Unmanaged<ResolverChannel>.fromOpaque(context).takeUnretainedValue()
      let events = (reads != 0 ? POLLIN : 0) | (writes != 0 ? POLLOUT : 0)
      channel.awaited[descriptor] = events == 0 ? nil : Int16(events)
    }
    let path = strdup(resolvConf)
    defer { free(path) }
    options.resolvconf_path = path
    // 5, 10 and 20 s; each server in turn.
    (options.timeout, options.tries) = (5000, 3)
    let given =
      ARES_OPT_FLAGS | ARES_OPT_SOCK_STATE_CB | ARES_OPT_RESOLVCONF | ARES_OPT_TIMEOUTMS
      | ARES_OPT_TRIES
    try Self.check(ares_init_options(&channel, &options, given), "read \(resolvConf)")
  }

  deinit { ares_destroy(channel) }

  private static func check(_ status: Int32, _ operation: String) throws {
    guard status == ARES_SUCCESS else {
      throw ResolverFault(operation: operation, problem: String(cString: ares_strerror(status)))
    }
  }

  /// Begins to look for a name's addresses.
  func look(for name: HostName) {
    pending += 1
    var hints = ares_addrinfo_hints()
    hints.ai_family = AF_INET
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = ARES_AI_NOSORT
    let query = Unmanaged.passRetained(Query(name, self))
    ares_getaddrinfo(
      channel, name.rawValue, nil, &hints,
      { context, status, _, result in
        defer { ares_freeaddrinfo(result) }
        guard let context else { return }
        let query = Unmanaged<Query>.fromOpaque(context).takeRetainedValue()
        query.channel?.end(query.name, status, result?.pointee)
      }, query.toOpaque())
  }

  private final class Query {
    let name: HostName
    weak var channel: ResolverChannel?
    init(_ name: HostName, _ channel: ResolverChannel) {
      (self.name, self.channel) = (name, channel)
    }
  }

  private func end(_ name: HostName, _ status: Int32, _ result: ares_addrinfo?) {
    pending -= 1
    ended.append((name, Self.outcome(status, result)))
  }

  /// Does what is due, and what these descriptors, of those that are awaited, are ready for.
  func proceed(_ ready: [pollfd]) {
    for entry in ready where entry.revents != 0 {
      let mayRead = entry.revents & Int16(POLLIN | POLLERR | POLLHUP) != 0
      let mayWrite = entry.revents & Int16(POLLOUT | POLLERR | POLLHUP) != 0
      ares_process_fd(
        channel, mayRead ? entry.fd : ARES_SOCKET_BAD, mayWrite ? entry.fd : ARES_SOCKET_BAD)
    }
    ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD)
  }

  /// How many seconds until something is due, `most` at most.
  func patience(most: Double) -> Double {
    guard pending > 0 else { return most }
    var longest = timeval(
      tv_sec: Int(most), tv_usec: Int(most.truncatingRemainder(dividingBy: 1) * 1e6))
    var due = timeval()
    let next = withUnsafeMutablePointer(to: &longest) { longest in
      withUnsafeMutablePointer(to: &due) { due in
        ares_timeout(channel, longest, due)?.pointee
      }
    }
    return next.map { Double($0.tv_sec) + Double($0.tv_usec) / 1e6 } ?? most
  }

  private static func outcome(_ status: Int32, _ result: ares_addrinfo?) -> LookupOutcome {
    let text = String(cString: ares_strerror(status))
    switch status {
    case ARES_SUCCESS: break
    case ARES_ENOTFOUND: return .none("there is no such name (NXDOMAIN)")
    case ARES_ENODATA: return .none("the name has no IPv4 address")
    case ARES_ESERVFAIL: return .failure("the server failed (SERVFAIL)")
    case ARES_EREFUSED: return .failure("the server refused the query (REFUSED)")
    case ARES_ETIMEOUT: return .failure("no server answered in time")
    case ARES_ECONNREFUSED: return .failure("no server can be reached")
    case ARES_EBADRESP: return .failure("the server's answer makes no sense")
    default: return .failure(text)
    }
    var addresses: [IPv4Address] = []
    var seconds = Int32.max
    var node = result?.nodes
    while let found = node?.pointee {
      node = found.ai_next
      guard found.ai_family == AF_INET, let address = found.ai_addr else { continue }
      address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
        addresses.append(IPv4Address(networkOrder: $0.pointee.sin_addr.s_addr))
      }
      seconds = min(seconds, found.ai_ttl)
    }
    var alias = result?.cnames
    while let found = alias?.pointee {
      alias = found.next
      seconds = min(seconds, found.ttl)
    }
    guard !addresses.isEmpty else { return .none("the name has no IPv4 address") }
    return .addresses(addresses, seconds: Double(max(seconds, 0)))
  }
}

/// Why the host's resolver cannot be asked.
struct ResolverFault: Error, CustomStringConvertible {
  let operation: String
  let problem: String
  var description: String { "cannot \(operation): \(problem)" }
}
