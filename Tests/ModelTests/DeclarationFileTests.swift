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
    #expect(
      warnings == [
        "web/warp.config.json: says nothing, so it declares the service \"web\", named for its "
          + "directory, with a public URL for port 8080"
      ])
  }

  @Test func `everything that can be declared is taken`() throws {
    let (declaration, warnings) = try parse(
      """
      {"container": "app", "docker": "old", "private": true,
       "deployment": {"port": 3000, "egress": ["10.0.0.0/8:443", "192.0.2.1:*"],
         "timeout": 3600}}
      """)
    #expect(
      try declaration
        == ServiceDeclaration(
          name: ServiceName("app"), port: PortNumber(3000), isPrivate: true,
          egress: [EgressRule("10.0.0.0/8:443"), EgressRule("192.0.2.1:*")],
          timeout: RequestTimeout(seconds: 3600)))
    #expect(
      warnings == [
        #"web/warp.config.json:1: "docker" is not looked at, since "container" says "app""#
      ])
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
    ("egres", #"did you mean "egress"?"#),
    ("zebra", #"known are "egress", "include", "port", "timeout""#),
    ("timout", #"did you mean "timeout"?"#),
  ])
  func `an unknown key of deployment is named with the nearest known one`(
    key: String, hint: String
  ) throws {
    let (declaration, warnings) = try parse(
      #"""
      {"deployment": {"port": 3000, "egress": [],
        "\#(key)": 1}}
      """#)
    #expect(declaration.port.rawValue == 3000)
    #expect(warnings.count == 1)
    #expect(warnings.first?.contains("\"\(key)\"") == true)
    #expect(warnings.first?.hasSuffix(hint) == true, "\(warnings)")
    #expect(warnings.first?.hasPrefix("web/warp.config.json:2: ") == true, "\(warnings)")
  }

  @Test(arguments: [
    (
      #"{"contaner": "db"}"#,
      #"unknown key "contaner", which is ignored; did you mean "container"?"#
    ),
    (#"{"Docker": "db"}"#, #"unknown key "Docker", which is ignored; did you mean "docker"?"#),
    (
      #"{"ports": [80]}"#,
      #"unknown key "ports", which is ignored; did you mean "deployment.port"?"#
    ),
    (
      #"{"deployments": {}, "deployment": {}}"#,
      #"unknown key "deployments", which is ignored; did you mean "deployment"?"#
    ),
    (
      #"{"port": 1, "deployment": {"port": 2}}"#,
      #"the key "port" is ignored here: it belongs in "deployment""#
    ),
    (
      #"{"container": "db", "services": {}}"#,
      #""services" is ignored: a file declares one service"#
    ),
  ])
  func `an unknown key at the top level is named with the nearest known one`(
    json: String, warning: String
  ) throws {
    #expect(try parse(json).warnings == ["web/warp.config.json:1: \(warning)"])
  }

  @Test(arguments: [
    (#"{"privat": true}"#, "privat", "private"), (#"{"Private": true}"#, "Private", "private"),
    (#"{"private": true, "isPrivate": false}"#, "isPrivate", "private"),
    (#"{"public": false}"#, "public", "private"),
    (#"{"deployment": {"privat": true}}"#, "deployment.privat", "private"),
    (#"{"deployment": {"public": false}}"#, "deployment.public", "private"),
    (#"{"deploymnt": {"port": 3000}}"#, "deploymnt", "deployment"),
    (#"{"port": 3000}"#, "port", "deployment.port"),
    (#"{"deployment": {"prot": 3000}}"#, "deployment.prot", "deployment.port"),
    (#"{"egress": []}"#, "egress", "deployment.egress"),
    (#"{"deployment": {"egres": []}}"#, "deployment.egres", "deployment.egress"),
  ])
  func `a misspelt key without which the service would be more open is refused`(
    json: String, key: String, meaning: String
  ) throws {
    let error = #expect(throws: InvalidDeclaration.self) { try parse(json) }
    #expect(error?.key == key && error?.line == 1)
    #expect(
      error?.reason.contains(#"is no key; did you mean "\#(meaning)"?"#) == true,
      "\(error?.description ?? "")")
  }

  @Test func `a private service has no public port to misspell`() throws {
    let (declaration, warnings) = try parse(#"{"private": true, "deployment": {"prot": 3000}}"#)
    #expect(declaration.isPrivate && warnings.count == 1)
  }

  @Test(arguments: [
    ("{\n  // the name\n  \"container\": \"db\"\n}", 2, "has a comment here"),
    ("{\n  # the name\n}", 2, "has a comment here"),
    ("{\"private\": true, /* x */ \"docker\": \"a\"}", 1, "has a comment here"),
    ("{\n \"private\": true,\n}", 3, "a comma before } that is one too many"),
    ("{\"deployment\": {\"egress\": [\n\"10.0.0.0/8:1\",\n]}}", 3, "a comma before ] that is"),
    ("{\n \"private\": true\n \"docker\": \"a\"}", 3, "is a comma missing?"),
    ("{\n private: true}", 2, "the key private without double quotes"),
    ("{\n 'private': true}", 2, "a ' where a key in double quotes is needed"),
    ("{\n \"docker\": 'a'}", 2, "a ' where a value is missing"),
    ("{\n \"private\": yes}", 2, "\"yes\" where a value is needed"),
    ("{\n \"private\": ,}", 2, "\",\" where a value is missing"),
    ("{\n \"private\" true}", 2, "no colon after the key \"private\""),
    ("{\n \"docker: true}\n", 2, "closing double quote is missing"),
    ("{\n \"private\": true", 2, "ends before the { of line 1 is closed"),
    ("{}\n}", 2, "has \"}\" after its end"),
    ("{\"private\": true,\n \"private\": false}", 2, "\"private\" twice, first in line 1"),
    ("{\"private\": true,\n \"\\u0070rivate\": false}", 2, "\"private\" twice"),
    ("{\"deployment\": {\"port\": 1,\n \"port\": 2}}", 2, "\"port\" twice"),
    ("module.exports = {}", 1, "\"module.exports\" where a value is needed"),
    (String(repeating: "[", count: 1000), 1, "nested too deeply"),
  ])
  func `what is no JSON is named with its line and the cause`(
    json: String, line: Int, cause: String
  ) {
    let error = #expect(throws: InvalidDeclaration.self) { try parse(json) }
    #expect(error?.line == line, "\(error?.description ?? "")")
    #expect(
      error?.reason.hasPrefix("is not JSON: it ") == true && error?.reason.contains(cause) == true,
      "\(error?.description ?? "")")
  }

  @Test func `a file that is empty or declares many services is refused`() {
    for (json, reason) in [
      ("", "is empty"), (" \n\t\n", "is empty"),
      (#"{"services": {"a": {}}}"#, "a file declares one service"),
      (#"{"services": []}"#, "a file declares one service"),
    ] {
      let error = #expect(throws: InvalidDeclaration.self) { try parse(json) }
      #expect(error?.reason.contains(reason) == true, "\(error?.description ?? "")")
    }
  }

  @Test func `the line of a value is told, also of one that a module gave`() throws {
    let json = "{\n\"deployment\": {\n\"egress\": [\"10.0.0.0/8:1\",\n2]}}"
    let error = #expect(throws: InvalidDeclaration.self) { try parse(json) }
    #expect(error?.line == 4 && error?.key == "deployment.egress[1]")
    let module = #expect(throws: InvalidDeclaration.self) {
      try ServiceDeclaration.parse(
        json: Data(json.utf8), directoryName: "web", file: "warp.config.js",
        lines: ["deployment.egress": 7])
    }
    #expect(module?.description.hasPrefix("warp.config.js:7: deployment.egress[1]: ") == true)
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
    (#"{"deployment": {"timeout": 0}}"#, "deployment.timeout", "seconds from 1 to 86400, not 0"),
    (#"{"deployment": {"timeout": 86401}}"#, "deployment.timeout", "not 86401"),
    (#"{"deployment": {"timeout": "60s"}}"#, "deployment.timeout", #"not the text "60s""#),
    (#"{"deployment": {"timeout": 1.5}}"#, "deployment.timeout", "a whole number of seconds"),
    (#"{"deployment": {"egress": "10.0.0.0/8:1"}}"#, "deployment.egress", "must be a list"),
    (#"{"deployment": {"egress": ["10.0.0.0/8:1", 2]}}"#, "deployment.egress[1]", "a text, not 2"),
    (#"{"deployment": {"egress": ["10.0.0.0/8"]}}"#, "deployment.egress[0]", "port is missing"),
  ])
  func `a file that is wrong is refused with its name and the key`(
    json: String, key: String?, reason: String
  ) {
    let error = #expect(throws: InvalidDeclaration.self) { try parse(json) }
    #expect(error?.key == key)
    let place = "web/warp.config.json" + (error?.line == nil ? ": " : ":1: ")
    #expect(error?.description.hasPrefix(place) == true)
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
