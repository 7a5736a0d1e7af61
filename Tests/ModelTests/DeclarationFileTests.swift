import FoundationEssentials
import Model
import Testing

@Suite struct DeclarationFileTests {
  private func parse(
    _ json: String, directory: String = "web"
  ) throws -> (declaration: ServiceDeclaration, warnings: [String]) {
    try ServiceDeclaration.parse(
      json: Data(json.utf8), directoryName: directory, file: "web/warp.config.json")
  }

  @Test func `an empty object declares a service named for its directory`() throws {
    let (declaration, warnings) = try parse("{}")
    #expect(try declaration == ServiceDeclaration(name: ServiceName("web")))
    #expect(declaration.port.rawValue == 8080)
    #expect(declaration.isPrivate == false)
    #expect(warnings.isEmpty)
  }

  @Test func `everything that can be declared is taken`() throws {
    let (declaration, warnings) = try parse(
      """
      {"container": "app", "docker": "old", "private": true,
       "deployment": {"port": 3000, "egress": ["10.0.0.0/8:443", "192.0.2.1:*"]}}
      """)
    #expect(
      try declaration
        == ServiceDeclaration(
          name: ServiceName("app"), port: PortNumber(3000), isPrivate: true,
          egress: [EgressRule("10.0.0.0/8:443"), EgressRule("192.0.2.1:*")]))
    #expect(warnings.isEmpty)
  }

  @Test func `the older key for the name is taken`() throws {
    #expect(try parse(#"{"docker": "db"}"#).declaration.name.rawValue == "db")
  }

  @Test func `keys of the platform are passed over`() throws {
    let (declaration, warnings) = try parse(
      """
      {"image": "x", "build": {}, "variables": {"A": 1}, "args": [], "volumes": null, "zzz": 1,
       "deployment": {"include": ["**"], "port": 1}}
      """)
    #expect(declaration.port.rawValue == 1)
    #expect(warnings.isEmpty)
  }

  @Test(arguments: [
    ("prot", #"did you mean "port"?"#), ("Port", #"did you mean "port"?"#),
    ("egres", #"did you mean "egress"?"#), ("zebra", #"known are "egress", "include", "port""#),
  ])
  func `an unknown key of deployment is named with the nearest known one`(
    key: String, hint: String
  ) throws {
    let (declaration, warnings) = try parse(#"{"deployment": {"\#(key)": 1}}"#)
    #expect(declaration.port.rawValue == 8080)
    #expect(warnings.count == 1)
    #expect(warnings.first?.contains("\"\(key)\"") == true)
    #expect(warnings.first?.hasSuffix(hint) == true, "\(warnings)")
    #expect(warnings.first?.hasPrefix("web/warp.config.json: ") == true)
  }

  @Test(arguments: [
    ("", nil, "empty"), ("{", nil, "not JSON"), ("module.exports = {}", nil, "not JSON"),
    ("[]", nil, "must be a JSON object, not a list"), ("3", nil, "not 3"),
    (#"{"container": 3}"#, "container", "must be a text, not 3"),
    (#"{"docker": null}"#, "docker", "must be a text, not null"),
    (#"{"container": ""}"#, "container", "not be empty"),
    (#"{"container": "a b"}"#, "container", "white space"),
    (#"{"private": "yes"}"#, "private", "must be true or false"),
    (#"{"private": 1}"#, "private", "must be true or false"),
    (#"{"deployment": []}"#, "deployment", "must be an object"),
    (#"{"deployment": {"private": true}}"#, "deployment.private", "beside"),
    (#"{"deployment": {"port": 0}}"#, "deployment.port", "not 0"),
    (#"{"deployment": {"port": 65536}}"#, "deployment.port", "not 65536"),
    (#"{"deployment": {"port": 80.5}}"#, "deployment.port", "not 80.5"),
    (#"{"deployment": {"port": 1e300}}"#, "deployment.port", "not 1e+300"),
    (#"{"deployment": {"port": "abc"}}"#, "deployment.port", #"not the text "abc""#),
    (#"{"deployment": {"port": "8080"}}"#, "deployment.port", #"not the text "8080""#),
    (#"{"deployment": {"port": true}}"#, "deployment.port", "not true"),
    (#"{"deployment": {"egress": "10.0.0.0/8:1"}}"#, "deployment.egress", "must be a list"),
    (#"{"deployment": {"egress": ["10.0.0.0/8:1", 2]}}"#, "deployment.egress[1]", "a text, not 2"),
    (#"{"deployment": {"egress": ["10.0.0.0/8"]}}"#, "deployment.egress[0]", "port is missing"),
  ])
  func `a file that is wrong is refused with its name and the key`(
    json: String, key: String?, reason: String
  ) {
    let error = #expect(throws: InvalidDeclaration.self) { try parse(json) }
    #expect(error?.key == key)
    #expect(error?.description.hasPrefix("web/warp.config.json: ") == true)
    #expect(error?.reason.contains(reason) == true, "\(error?.description ?? "")")
  }

  @Test func `a directory whose name is no name needs a container key`() {
    let error = #expect(throws: InvalidDeclaration.self) { try parse("{}", directory: "my app") }
    #expect(error?.description.contains("\"my app\"") == true)
    #expect(error?.description.contains("container") == true)
  }

  @Test func `an argument names a service and perhaps its port`() throws {
    #expect(try ServiceDeclaration(argument: "app") == .init(name: ServiceName("app")))
    #expect(
      try ServiceDeclaration(argument: "app:81")
        == .init(name: ServiceName("app"), port: PortNumber(81)))
    for text in ["app:", "app:0", "app:65536", "app:abc"] {
      #expect(throws: InvalidPort.self) { try ServiceDeclaration(argument: text) }
    }
    for text in ["", ":80", "a b:80", "a:b:80", String(repeating: "a", count: 300)] {
      #expect(throws: InvalidName.self) { try ServiceDeclaration(argument: text) }
    }
  }
}
