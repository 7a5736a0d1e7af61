import Model
import Testing
import Tunnel

@Suite("Runner identifiers and serial numbers")
struct RunnerIdentifierTests {
  @Test("A runner's URI names its cluster and its name")
  func parts() {
    let runner = RunnerIdentifier(uri: "spiffe://eu-1.example/runner/node_7")
    #expect(runner?.cluster == "eu-1.example")
    #expect(runner?.name == "node_7")
    #expect(runner?.uri == "spiffe://eu-1.example/runner/node_7")
  }

  @Test(
    "Anything else names no runner",
    arguments: [
      "", "spiffe://", "spiffe://c/runner/", "spiffe:///runner/a", "spiffe://c/runner/a/",
      "spiffe://c/runner/a/b", "spiffe://c/service/a", "SPIFFE://c/runner/a", "https://c/runner/a",
      "spiffe://c/runner/a?b", "spiffe://c/runner/ä", "spiffe://c:1/runner/a", "/runner/a",
    ])
  func others(uri: String) { #expect(RunnerIdentifier(uri: uri) == nil) }

  @Test("A serial number is the same however it is written")
  func serials() {
    #expect(CertificateSerial("00:0a:Ff") == CertificateSerial("AFF"))
    #expect(CertificateSerial("000") == CertificateSerial("0"))
    #expect(CertificateSerial("") == nil)
    #expect(CertificateSerial("0x12") == nil)
  }
}
