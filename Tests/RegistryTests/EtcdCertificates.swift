import Foundation

/// A CA, a certificate for etcd, one for a runner and one for etcdctl, and another CA that signed none.
struct EtcdCertificates {
  /// What etcd's certificate is for.
  var server = "IP:127.0.0.1"
  /// By how many days the clock was wrong by which etcd's certificate, and the runner's, was made, each
  /// valid for one day.
  var serverDays = 0, clientDays = 0

  func make(in directory: String) throws {
    try shell(
      """
      set -e; cd '\(directory)'
      ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
        -subj "/CN=$1" -keyout "$1.key" -out "$1.pem"; }
      leaf() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
        -keyout "$1.key" -out "$1.csr"
        printf 'subjectAltName=%s\\n' "$2" >"$1.ext"
        faketime -f "$3d" openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial \
          -days 1 -extfile "$1.ext" -out "$1.pem"; }
      ca ca; ca other
      leaf server \(server) \(serverDays < 0 ? "" : "+")\(serverDays)
      leaf client DNS:r1 \(clientDays < 0 ? "" : "+")\(clientDays)
      leaf admin DNS:admin +0
      """)
  }

  private func shell(_ script: String) throws {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/bash")
    process.arguments = ["-c", script]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw EtcdServer.Missing(description: "openssl could not make the certificates")
    }
  }
}
