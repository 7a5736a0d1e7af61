import ArgumentParser
import CertificateAuthority
import Foundation

/// The installation's certificate authority.
struct CA: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ca", abstract: "Make and manage the certificates of runners.",
    discussion: """
      The authority is a directory, which need not be on a runner. Each runner gets the three files \
      that `issue` writes, and the deny list.
      """,
    subcommands: [Init.self, Issue.self, IssueDomain.self, List.self, Revoke.self, Rotate.self])

  struct Location: ParsableArguments {
    @Option(help: "The authority's directory.")
    var directory = "/etc/istbpf/ca"

    var url: URL { URL(fileURLWithPath: directory, isDirectory: true) }
  }

  struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "init", abstract: "Make a new authority.")

    @Option(help: "The cluster, the first part of every runner's name in certificates.")
    var cluster: String
    @OptionGroup var location: Location

    func run() throws {
      try failing {
        let authority = try CertificateAuthority.create(in: location.url, cluster: cluster)
        print("made the authority of cluster \(authority.cluster) in \(location.directory)")
      }
    }
  }

  struct Issue: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "issue", abstract: "Issue a certificate and a new key for a runner.",
      discussion: """
        Writes RUNNER.crt, RUNNER.key (mode 0600) and ca.crt. The key is kept nowhere else. A runner \
        that has files of an earlier issue goes on with those until they are replaced.
        """)

    @Argument(help: "The runner's name.")
    var runner: String
    @Option(help: "How long it is valid, in days.")
    var days = 90
    @Option(help: "The directory to write to, which must exist.")
    var out = "."
    @OptionGroup var location: Location

    func run() throws {
      try failing {
        let issued = try CertificateAuthority(directory: location.url)
          .issue(runner: runner, days: days)
        let out = URL(fileURLWithPath: out, isDirectory: true)
        for (name, text, mode) in [
          ("\(runner).key", issued.key, 0o600), ("\(runner).crt", issued.certificate, 0o644),
          ("ca.crt", issued.bundle, 0o644),
        ] {
          let file = out.appending(path: name)
          try CertificateAuthority.write(text, to: file, mode: mode)
          print("wrote \(file.path)")
        }
      }
    }
  }

  struct IssueDomain: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "issue-domain",
      abstract: "Issue a certificate for a front door, to try it with.",
      discussion: """
        Writes DOMAIN.pem: the certificate of *.DOMAIN and DOMAIN, and its new key (mode 0600), as \
        frontDoor.certificates takes it. Only who trusts the authority's ca.crt trusts it.
        """)

    @Argument(help: "The front door's domain.")
    var domain: String
    @Option(help: "How long it is valid, in days.")
    var days = 90
    @Option(help: "The directory to write to, which must exist.")
    var out = "."
    @OptionGroup var location: Location

    func run() throws {
      try failing {
        let issued = try CertificateAuthority(directory: location.url)
          .issue(domain: domain, days: days)
        let file = URL(fileURLWithPath: out, isDirectory: true).appending(path: "\(domain).pem")
        try CertificateAuthority.write(issued.certificate + issued.key, to: file, mode: 0o600)
        print("wrote \(file.path)")
      }
    }
  }

  struct List: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "list", abstract: "List what was issued.")

    @OptionGroup var location: Location
    @OptionGroup var output: OutputOptions
    @OptionGroup var tables: TableOptions

    func run() throws {
      try failing {
        let issued = try CertificateAuthority(directory: location.url).issued()
        if output.json {
          return try printJSON(
            issued.map { certificate, state in
              [
                "serial": certificate.serial, "runner": certificate.runner,
                "notBefore": certificate.notBefore.formatted(.iso8601),
                "notAfter": certificate.notAfter.formatted(.iso8601), "state": state.rawValue,
              ]
            })
        }
        let rows = issued.map { certificate, state in
          [
            certificate.runner, state.rawValue, certificate.notAfter.formatted(.iso8601),
            certificate.serial,
          ]
        }
        tables.print(Table(["runner", "state", "expires", "serial"], rows: rows))
      }
    }
  }

  struct Revoke: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "revoke", abstract: "Revoke what was issued to a runner, or one serial number.",
      discussion: "Give the deny list, DIRECTORY/denied, to every runner: it takes effect at once.")

    @Argument(
      help: ArgumentHelp("The runner's name, or a serial number.", valueName: "runner|serial"))
    var name: String
    @OptionGroup var location: Location

    func run() throws {
      try failing {
        let authority = try CertificateAuthority(directory: location.url)
        let revoked = try authority.revoke(name)
        for certificate in revoked {
          print("revoked \(certificate.serial) of \(certificate.runner)")
        }
        if revoked.isEmpty { print("nothing of \(name) was valid") }
      }
    }
  }

  struct Rotate: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "rotate", abstract: "Give the authority a new key and certificate.",
      discussion: """
        ca.crt then holds the new certificate and the one before it. Give it to every runner, then \
        issue new certificates; nothing is interrupted. The next rotation ends the earlier one.
        """)

    @OptionGroup var location: Location

    func run() throws {
      try failing {
        try CertificateAuthority(directory: location.url).rotate()
        print("rotated: give \(location.directory)/ca.crt to every runner, then issue anew")
      }
    }
  }
}
