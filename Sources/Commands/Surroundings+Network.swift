import ControlAPI
import Fabric
import Foundation
import Glibc
import LinuxSystem

/// Clocks, etcd, and what lies between this runner and the others.
extension Surroundings {
  private var tunnel: (host: String, port: String)? {
    guard let address = settings.value("tunnel.address"), let colon = address.lastIndex(of: ":")
    else { return nil }
    return (
      address[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]")),
      String(address[address.index(after: colon)...])
    )
  }

  // MARK: Clocks

  func clock() -> [Finding] {
    guard settings.value("cluster") != nil else { return [] }
    let unsynchronized = Finding.note(
      "clock", "nothing synchronizes it",
      "certificates seem to begin later or to end sooner than they do",
      type: "apt install chrony, or timedatectl set-ntp true")
    guard let most = try? KernelClock.mostError() else { return [unsynchronized] }
    return [.found("clock", "is synchronized, to \(most / 1000) ms")]
  }

  /// How far from etcd's clock this one may be, in seconds: its answers say the time in whole seconds.
  private static let mostSkew = 5.0

  // MARK: etcd

  func etcd() -> [Finding] {
    let endpoints = (settings.value("etcd.endpoints") ?? "").split(separator: ",").map(String.init)
    guard settings.value("cluster") != nil, !endpoints.isEmpty else { return [] }
    guard Executable.find("curl") != nil else {
      return [
        .note(
          "etcd", "there is no curl to ask it with", "its latency and clock are not known",
          type: "apt install curl")
      ]
    }
    return endpoints.flatMap { etcd(at: $0) }
  }

  private func etcd(at endpoint: String) -> [Finding] {
    // Without the user and password that a URL may have.
    let shown = Redaction.withoutUser(endpoint)
    var options = [
      "--silent", "--show-error", "--max-time", "10", "--dump-header", "-", "--output", "/dev/null",
    ]
    for (key, option) in [
      ("etcd.authorities", "--cacert"), ("etcd.certificate", "--cert"), ("etcd.key", "--key"),
    ] { if let file = settings.value(key) { options += [option, file] } }
    options += [
      "--write-out", "%{time_pretransfer} %{time_starttransfer} %{http_code}", endpoint + "/health",
    ]
    var answers: [(seconds: Double, skew: Double?)] = []
    for _ in 0..<3 {
      let before = Date()
      let answer = CapturedCommand(["curl"] + options)
      let after = Date()
      let times =
        answer.output.split(whereSeparator: \.isNewline).last?.split(separator: " ").compactMap {
          Double($0)
        }
        ?? []
      guard answer.status == 0, times.count == 3 else {
        return [
          .problem(
            "etcd",
            "\(shown) does not answer: \(Redaction.withoutUser(answer.errors.trimmingCharacters(in: .whitespacesAndNewlines)))",
            "nothing can be declared or started; what runs goes on", type: "curl -v \(shown)/health"
          )
        ]
      }
      guard times[2] == 200 else {
        return [
          .problem(
            "etcd", "\(shown) says that it is not well: status \(Int(times[2])) at /health",
            "nothing can be declared or started; what runs goes on", type: "curl -v \(shown)/health"
          )
        ]
      }
      let time = answer.output.split(whereSeparator: \.isNewline)
        .first { $0.lowercased().hasPrefix("date: ") }
        .flatMap { Self.httpDate(String($0.dropFirst("date: ".count))) }
      // The second that it says may have begun at any time between.
      let skew = time.map { time in
        before.timeIntervalSince(time) > 1
          ? before.timeIntervalSince(time) - 1
          : after.timeIntervalSince(time) < 0 ? after.timeIntervalSince(time) : 0
      }
      answers.append((times[1] - times[0], skew))
    }
    let fastest = answers.map(\.seconds).min() ?? 0
    let milliseconds = Int((fastest * 1000).rounded())
    let patience = Double(settings.value("etcd.callTimeoutSeconds") ?? "") ?? 3
    var findings: [Finding] = []
    if fastest > min(0.1, patience / 4) {
      findings.append(
        .problem(
          "etcd's latency", "\(shown) takes \(milliseconds) ms to answer",
          "declaring and starting waits for it several times, and it fails beyond \(Int(patience)) s",
          type:
            "etcdctl --endpoints \(shown) endpoint status -w table; and look at its disk and the way to it"
        ))
    } else {
      findings.append(.found("etcd's latency", "\(shown): \(milliseconds) ms"))
    }
    if let skew = answers.compactMap(\.skew).min(by: { abs($0) < abs($1) }) {
      findings.append(
        abs(skew) > Self.mostSkew
          ? .problem(
            "clock skew",
            "this clock is \(Int(abs(skew).rounded())) s \(skew > 0 ? "ahead of" : "behind") that of \(shown), which all runners can compare with",
            "certificates that are good here are not there, or the other way round",
            type: "chronyc makestep, or timedatectl set-ntp true, here and there")
          : .found("clock skew", "less than \(Int(Self.mostSkew)) s from \(shown)"))
    }
    return findings
  }

  private static func httpDate(_ text: String) -> Date? {
    // Sun, 06 Nov 1994 08:49:37 GMT
    let words = text.split(separator: " ")
    let months = [
      "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
    guard words.count >= 5, let day = Int(words[1]), let year = Int(words[3]),
      let month = months.firstIndex(of: String(words[2]))
    else { return nil }
    let clock = words[4].split(separator: ":").compactMap { Int($0) }
    guard clock.count == 3 else { return nil }
    var calendar = Calendar(identifier: .gregorian)
    calendar.timeZone = .gmt
    return calendar.date(
      from: DateComponents(
        year: year, month: month + 1, day: day, hour: clock[0], minute: clock[1], second: clock[2]))
  }

  // MARK: The link

  /// The least MTU that IPv6 allows, below which paths that fragment or drop are common.
  private static let leastMTU = 1280

  func tunnelLink() -> [Finding] {
    guard let tunnel, settings.value("cluster") != nil else { return [] }
    guard let link = Self.link(with: tunnel.host) else {
      return [
        .problem(
          "tunnel.address", "no link of this machine has \(tunnel.host)",
          "istbpfd cannot take tunnels",
          type: "ip -brief address; and set tunnel.address in \(settings.file)")
      ]
    }
    var findings: [Finding] = []
    let mtu = Self.mtu(of: link)
    if let mtu, mtu < Self.leastMTU {
      findings.append(
        .problem(
          "MTU", "\(link), which has \(tunnel.host), has an MTU of \(mtu)",
          "tunnels are slow or stand still",
          type: "ip link set \(link) mtu 1500"))
    } else {
      findings.append(.found("MTU", "\(link): \(mtu.map(String.init) ?? "not known")"))
    }
    func filter(_ scope: String) -> Int {
      Int(
        (try? SmallFile.read("/proc/sys/net/ipv4/conf/\(scope)/rp_filter"))?
          .trimmingCharacters(in: .whitespacesAndNewlines) ?? "") ?? 0
    }
    if !tunnel.host.contains(":"), max(filter("all"), filter(link)) == 1 {
      findings.append(
        .note(
          "rp_filter", "is strict for \(link), which has \(tunnel.host)",
          "packets of runners to which the way leads over another link are dropped without a word",
          type: "sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.\(link).rp_filter=2"))
    } else {
      findings.append(.found("rp_filter", "not strict for \(link)"))
    }
    return findings
  }

  private static func link(with address: String) -> String? {
    var list: UnsafeMutablePointer<ifaddrs>?
    guard getifaddrs(&list) == 0 else { return nil }
    defer { freeifaddrs(list) }
    var next = list
    while let entry = next?.pointee {
      next = entry.ifa_next
      guard let socket = entry.ifa_addr else { continue }
      let length: Int
      switch Int32(socket.pointee.sa_family) {
      case AF_INET: length = MemoryLayout<sockaddr_in>.size
      case AF_INET6: length = MemoryLayout<sockaddr_in6>.size
      default: continue
      }
      var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
      guard
        getnameinfo(socket, socklen_t(length), &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
          == 0
      else { continue }
      let shown = String(
        decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if shown.prefix(while: { $0 != "%" }) == address { return String(cString: entry.ifa_name) }
    }
    return nil
  }

  /// Not from /sys, which shows the links of the namespace in which it was mounted.
  private static func mtu(of link: String) -> Int? {
    CapturedCommand(["ip", "-o", "link", "show", "dev", link]).output.components(
      separatedBy: " mtu "
    )
    .dropFirst().first.flatMap { Int($0.prefix { $0.isNumber }) }
  }

  // MARK: Fabrics

  /// What the fabrics need, and a program that sets sysctls everywhere takes from them.
  func fabrics() -> [Finding] {
    guard geteuid() == 0,
      let names = try? NetworkNamespace.names(prefix: installation.fabricPrefix), !names.isEmpty
    else { return [] }
    var strict: [String] = []
    for name in names {
      let read = CapturedCommand(
        [
          "ip", "netns", "exec", name, "sh", "-c",
          "cat /proc/sys/net/ipv4/conf/all/rp_filter /proc/sys/net/ipv4/conf/lo/rp_filter",
        ])
      if read.status == 0, read.output.contains("1") || read.output.contains("2") {
        strict.append(name)
      }
    }
    guard let first = strict.first else {
      return [.found("fabrics", "\(names.count) with rp_filter off")]
    }
    return [
      .problem(
        "rp_filter", "is on in the fabric \(strict.joined(separator: ", "))",
        "what comes from other runners is dropped there",
        type:
          "ip netns exec \(first) sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.lo.rp_filter=0"
      )
    ]
  }

  // MARK: The firewall

  func firewall() -> [Finding] {
    guard let tunnel, settings.value("cluster") != nil, geteuid() == 0 else { return [] }
    var looked: [String] = []
    for (program, look) in [
      (["iptables-save", "-t", "filter"], FirewallRules.iptablesObjection),
      (["nft", "list", "ruleset"], FirewallRules.nftObjection),
    ] {
      guard Executable.find(program[0]) != nil else { continue }
      let rules = CapturedCommand(program)
      guard rules.status == 0 else { continue }
      looked.append(program[0])
      if let objection = look(rules.output, tunnel.port) {
        return [
          .problem(
            "firewall", "drops what comes to port \(tunnel.port), tunnel.address: \(objection)",
            "other runners cannot make tunnels to this one",
            type: program[0] == "nft"
              ? "nft list ruleset; then nft insert rule of that chain: tcp dport \(tunnel.port) accept"
              : "iptables -I INPUT -p tcp --dport \(tunnel.port) -j ACCEPT")
        ]
      }
    }
    return looked.isEmpty
      ? [.note("firewall", "there is neither iptables-save nor nft", "it was not looked at")]
      : [
        .found(
          "firewall", "nothing in \(looked.joined(separator: " or ")) drops port \(tunnel.port)")
      ]
  }

  // MARK: The way to the others

  /// Packets as great as the link takes: paths that drop these let a tunnel be made, and then stand still.
  func paths() -> [Finding] {
    guard let tunnel, let link = Self.link(with: tunnel.host), let mtu = Self.mtu(of: link),
      let cluster = status.map(\.cluster), status?.hasCluster == true,
      Executable.find("ping") != nil
    else { return [] }
    var findings: [Finding] = []
    for runner in cluster.runners where runner.present && runner.name != status?.runner {
      guard let colon = runner.address.lastIndex(of: ":") else { continue }
      let host = runner.address[..<colon].trimmingCharacters(in: CharacterSet(charactersIn: "[]"))
      let headers = host.contains(":") ? 48 : 28
      func answers(_ size: Int) -> Bool {
        CapturedCommand([
          "ping", "-q", "-n", "-M", "do", "-c", "2", "-i", "0.2", "-W", "1", "-s", "\(size)", host,
        ]).status == 0
      }
      // One that answers no ping at all says nothing of the path.
      guard answers(56) else { continue }
      if answers(mtu - headers) {
        findings.append(.found("path to \(runner.name)", "packets of \(mtu) bytes pass"))
      } else {
        findings.append(
          .problem(
            "MTU",
            "packets of \(mtu) bytes do not reach \(runner.name) at \(host), and smaller ones do",
            "tunnels to it are made, and stand still as soon as they carry much",
            type: "ip link set \(link) mtu 1400, or what the path takes: tracepath -n \(host)"))
      }
    }
    return findings
  }
}
