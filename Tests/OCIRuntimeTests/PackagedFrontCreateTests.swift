import Foundation
import TestSupport
import Testing

@testable import OCIRuntime

@Suite("Containers that the program before the wrapper has made by the runtime alone")
struct PackagedFrontCreateTests {
  private let front: PackagedFront
  private let bundle: String

  init() throws {
    front = try PackagedFront()
    bundle = "\(front.directory)/bundle"
  }

  /// Whether `create` of a bundle with this configuration goes to the runtime at once.
  private func isPassedOn(_ configuration: String) throws -> Bool {
    try front.write(configuration, to: "bundle/config.json")
    return try front.isPassedOn(["create", "--bundle", bundle, "ID"])
  }

  private static func specification(
    annotations: String = "", variables: String = #""PATH=/bin""#
  ) -> String {
    #"{"ociVersion":"1.0.2","annotations":{"#
      + annotations + #"},"process":{"env":["# + variables + #"],"args":["true"]}}"#
  }

  private static let claim = specification(
    annotations: #""io.istbpf.deployment":"shop","io.istbpf.service":"db""#)

  @Test(
    "In the ways in which engines write it",
    arguments: [
      "--root /r --log /l --log-format json create --bundle B --pid-file /p ID",
      "--root=/r --systemd-cgroup --log=/l create --bundle=B --console-socket /s ID",
      "create -b B ID", "create --no-pivot --no-new-keyring --bundle B --pid-file=/p a_b+c-d.e",
    ])
  func plain(_ line: String) throws {
    try front.write(Self.specification(), to: "bundle/config.json")
    let words = line.split(separator: " ").map {
      String($0).replacing("/r", with: "\(front.directory)/r").replacing(
        "/l", with: "\(front.directory)/l"
      )
      .replacing("B", with: bundle)
    }
    #expect(try front.isPassedOn(words))
    let read = try RuntimeArguments(words)
    #expect(read.command == .create && read.bundle == bundle && read.configurationFile == nil)
  }

  @Test(
    "Not where it cannot be told which bundle is meant",
    arguments: [
      "create ID", "create --bundle", "create --bundle B", "create --bundle= ID",
      "create --bundle B --bundle /other ID", "create -b B --bundle /other ID", "create -bB ID",
      "create --bund B ID", "create -bundle B ID", "create --bundle B ID other",
      "create --bundle B ID --bundle /other", "create --bundle B -- ID", "create --bundle B ../ID",
      "create --bundle B --pid-file --bundle ID", "create --bundle B --config /other ID",
      "create --bundle B -f /other ID", "create --bundle B --preserve-fds 3 ID",
      "create ID --bundle B", "run --bundle B ID", "restore --bundle B ID",
      "--bundle B create ID", "create --bundle B --unknown ID", "create create --bundle B ID",
    ])
  func unclear(_ line: String) throws {
    try front.write(Self.specification(), to: "bundle/config.json")
    let words = line.split(separator: " ").map { String($0).replacing("B", with: bundle) }
    #expect(try !front.isPassedOn(words))
  }

  @Test(
    "Not where its configuration may name a service",
    arguments: [
      claim, specification(annotations: #""io.istbpf.service":"db""#),
      specification(variables: #""WARP_DEPLOYMENT=shop","WARP_SERVICE=db""#),
      specification(variables: #""WARP_SERVICE=db""#),
      // In other places, and other letters, than the wrapper would read.
      #"{"ANNOTATIONS":{"IO.ISTBPF.SERVICE":"db"}}"#, #"{"x":"warp_service=db"}"#,
      #"{"hooks":{"createRuntime":[{"path":"/x","args":["x","istbpf-hook","attach"]}]}}"#,
      // Letters as escapes, in each way that the wrapper reads.
      claim.replacing("io.istbpf.", with: #"io.\u0069stbpf."#),
      claim.replacing("io.istbpf.", with: #"io\u002eistbpf\u002E"#),
      claim.replacing("io.istbpf.", with: #"\i\o.i\s\t\bpf."#),
      claim.replacing("istbpf", with: #"i\stbpf"#),
      claim.replacing("istbpf", with: #"i\u+073tbpf"#), claim.replacing("istbpf", with: #"i\u73"#),
      specification(variables: #""\u0057ARP_SERVICE=db""#),
      specification(variables: #""WARP\u005FSERVICE\u003ddb""#),
      // No text of JSON.
      "", " ", "{", "[]", "/* */ " + specification(), specification() + ",",
      claim.map { "\($0)\0" }.joined(), #"{"a":"\"#, #"{"a":"\u"#, #"{"a":"\u00"#,
    ])
  func claims(_ configuration: String) throws {
    #expect(try !isPassedOn(configuration))
  }

  @Test("Not where its configuration is larger than is looked at")
  func large() throws {
    let space = String(repeating: " ", count: 1 << 20)
    #expect(try !isPassedOn(Self.specification() + space))
    #expect(try !isPassedOn(space + Self.claim))
    #expect(try isPassedOn(space.dropLast(1000) + Self.specification()))
  }

  @Test("Where escapes stand for what no claim is made of")
  func harmlessEscapes() throws {
    let configuration = Self.specification(
      variables: #""A=\u003ca\u003e \u0026\u0026 \"b\"\\\/\n\t\u00e9\ud83d\ude00""#)
    #expect(try isPassedOn(configuration))
    let read = try JSONValue(parsing: Array(configuration.utf8))
    #expect(try ContainerClaim.read(from: read, acceptingVariables: true) == nil)
  }

  @Test("However a claim is written, what the wrapper takes for one is not passed on")
  func agrees() throws {
    var generator = SystemRandomNumberGenerator()
    var claims = 0
    let texts = [
      Self.claim, Self.specification(variables: #""WARP_DEPLOYMENT=a","WARP_SERVICE=b""#),
    ]
    for _ in 0..<300 {
      var text = ""
      for character in texts.randomElement(using: &generator)! {
        let code = character.unicodeScalars.first!.value
        switch Int.random(in: 0..<30, using: &generator) {
        case 0 where character.isLetter || character == "." || character == "_":
          let digits = String(code, radix: 16, uppercase: Bool.random(using: &generator))
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        case 1 where character.isLetter: text += "\\\(character)"
        case 2 where character.isLetter: text += character.uppercased()
        default: text.append(character)
        }
      }
      let read = try? JSONValue(parsing: Array(text.utf8))
      let isClaim: Bool
      do {
        isClaim =
          try read.map { try ContainerClaim.read(from: $0, acceptingVariables: true) != nil }
          ?? false
      } catch { isClaim = true }
      guard isClaim else { continue }
      claims += 1
      #expect(try !isPassedOn(text), "\(text)")
    }
    #expect(claims > 20, "only \(claims) were claims")
  }

  @Test("Only where its configuration is a file, and one that is there; by a link as well")
  func files() throws {
    let path = "\(bundle)/config.json"
    func isPassedOn() throws -> Bool {
      try front.isPassedOn(["create", "--bundle", bundle, "ID"])
    }
    try FileManager.default.createDirectory(atPath: bundle, withIntermediateDirectories: true)
    #expect(try !isPassedOn(), "none")
    for (text, isPlain) in [(Self.claim, false), (Self.specification(), true)] {
      let other = try front.write(text, to: "other.json")
      try? FileManager.default.removeItem(atPath: path)
      try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: other)
      #expect(try isPassedOn() == isPlain)
    }
    let loop = try front.write("", to: "loop")
    try FileManager.default.removeItem(atPath: loop)
    try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: loop)
    for target in [loop, "/dev/zero", "/dev/null", "/proc/self/environ", front.directory] {
      try FileManager.default.removeItem(atPath: path)
      try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
      #expect(try !isPassedOn(), "\(target)")
    }
    try FileManager.default.removeItem(atPath: path)
    #expect(mkfifo(path, 0o600) == 0)
    #expect(try !isPassedOn(), "a FIFO, which is not read")
  }

  @Test("Not where the wrapper is configured")
  func configured() throws {
    #expect(try isPassedOn(Self.specification()))
    let words = ["create", "--bundle", bundle, "ID"]
    #expect(try !front.isPassedOn(words, environment: ["ISTBPF_OCI_VARIABLES=false"]))
    try front.write(#"{"oci":{"variables":false}}"#, to: "config.json")
    #expect(try !front.isPassedOn(words))
  }
}
