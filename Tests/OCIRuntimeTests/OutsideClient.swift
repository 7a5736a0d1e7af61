import Foundation
import TestSupport
import Testing

/// A program that fetches a URL, which is its last argument, and writes what it gets. `/tls` has the certificate.
struct OutsideClient: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let command: [String]
  var scheme = "https"
  /// Options of the container.
  var options: [String] = []
  /// A shell script that makes the program, in a directory that containers have as /tls.
  var script: String?

  /// Those of a machine with Debian's usual packages; with `Scripts/egress-clients` also those that are built.
  static var all: [OutsideClient] {
    [curl, node, python, busybox] + (isComplete ? [go, java, musl, cares] : [])
  }

  /// Makes it ready.
  func prepare(in directory: String) throws {
    guard let script else { return }
    let made = try run("bash", "-ec", "cd \(directory)\n\(script)")
    #expect(made.status == 0, "\(made.errors)")
  }

  private static var isComplete: Bool {
    ProcessInfo.processInfo.environment["ISTBPF_EGRESS_CLIENTS"] == "all"
  }

  static let curl = OutsideClient(
    testDescription: "curl", command: ["/usr/bin/curl", "-sS", "--cacert", "/tls/certificate.pem"])

  private static let node = OutsideClient(
    testDescription: "Node",
    command: [
      "/usr/bin/env", "NODE_EXTRA_CA_CERTS=/tls/certificate.pem", "node", "-e",
      """
      const https = require('https'); https.get(process.argv[1], { agent: false }, (answer) => \
      answer.setEncoding('utf8').on('data', (text) => process.stdout.write(text))) \
      .on('error', (error) => { console.error(error.code); process.exitCode = 1 })
      """,
    ])

  private static let python = OutsideClient(
    testDescription: "Python",
    command: [
      "/usr/bin/python3", "-c",
      """
      import ssl, sys, urllib.request
      context = ssl.create_default_context(cafile="/tls/certificate.pem")
      print(urllib.request.urlopen(sys.argv[1], context=context).read().decode(), end="")
      """,
    ])

  private static let busybox = OutsideClient(
    testDescription: "busybox wget, static", command: ["busybox", "wget", "-q", "-O", "-"],
    scheme: "http")

  /// Static: with Go's own resolver, which asks DNS where /etc/hosts does not answer.
  private static let go = OutsideClient(
    testDescription: "Go",
    command: ["/usr/bin/env", "SSL_CERT_FILE=/tls/certificate.pem", "/tls/client"],
    script: """
      cat > client.go <<'END'
      package main

      import (
        "fmt"
        "io"
        "net/http"
        "os"
      )

      func main() {
        answer, err := http.Get(os.Args[1])
        if err == nil {
          _, err = io.Copy(os.Stdout, answer.Body)
        }
        if err != nil {
          fmt.Fprintln(os.Stderr, err)
          os.Exit(1)
        }
      }
      END
      HOME=$PWD GOCACHE=$PWD/cache GOFLAGS=-mod=mod GO111MODULE=off CGO_ENABLED=0 /usr/bin/go build -o client client.go
      """)

  /// Static, with another C library.
  private static let musl = OutsideClient(
    testDescription: "musl", command: ["/tls/musl-client"], scheme: "http",
    script: "/usr/bin/musl-gcc -static -O2 -Wall -Werror -o musl-client \(source)")

  private static let cares = OutsideClient(
    testDescription: "c-ares", command: ["/tls/cares-client"], scheme: "http",
    script: "/usr/bin/gcc -DCARES -O2 -Wall -Werror -o cares-client \(source) -lcares")

  private static let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Programs/client.c").path

  private static let java = OutsideClient(
    testDescription: "Java",
    command: [
      "/usr/lib/jvm/java-17-openjdk-amd64/bin/java", "-Djavax.net.ssl.trustStore=/tls/trust.p12",
      "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", "/tls", "Client",
    ],
    // Debian's keeps its configuration there.
    options: ["-v", "/etc/java-17-openjdk:/etc/java-17-openjdk:ro"],
    script: """
      cat > Client.java <<'END'
      import java.net.URL;

      class Client {
        public static void main(String[] arguments) throws Exception {
          try (var body = new URL(arguments[0]).openStream()) {
            body.transferTo(System.out);
            System.out.flush();
          }
        }
      }
      END
      /usr/bin/javac Client.java
      /usr/bin/keytool -importcert -noprompt -alias api -file certificate.pem -keystore trust.p12 \
        -storetype PKCS12 -storepass changeit
      """)
}
