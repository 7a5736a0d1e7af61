import Foundation
import Model
import Testing

@Suite struct InstanceEnvironmentTests {
  private let services: [Service]

  init() throws {
    let shop = try DeploymentName("shop")
    services = try [("my-app", 2), ("db", 1), ("ä", 3)].map {
      try Service(deployment: shop, name: ServiceName($0.0), number: $0.1, port: PortNumber(3000))
    }
  }

  private func variables(runner: String = "r1") -> [EnvironmentVariable] {
    InstanceEnvironment(of: services[0], among: services, plan: .standard, runner: runner).variables
  }

  @Test func `an instance gets the address of every service and who it is`() {
    #expect(
      variables().map { "\($0.name)=\($0.value)" } == [
        "WARP_IST_db=198.18.1.1",
        "WARP_IST_my-app=198.18.2.1", "WARP_IST_my_app=198.18.2.1",
        "WARP_IST_ä=198.18.3.1", "WARP_IST__=198.18.3.1",
        "WARP_DEPLOYMENT=shop", "WARP_SERVICE=my-app", "WARP_RUNNER=r1", "WARP_PORT=3000",
      ])
  }

  @Test func `the shell's form has only names that a shell can name`() throws {
    #expect(
      try variables().shellText() == """
        export WARP_IST_db='198.18.1.1'
        export WARP_IST_my_app='198.18.2.1'
        export WARP_IST__='198.18.3.1'
        export WARP_DEPLOYMENT='shop'
        export WARP_SERVICE='my-app'
        export WARP_RUNNER='r1'
        export WARP_PORT='3000'

        """)
  }

  @Test func `the file's form has every name and the value as it is`() throws {
    let text = try variables(runner: "it's \"r\" $1").environmentFileText()
    #expect(text.hasPrefix("WARP_IST_db=198.18.1.1\nWARP_IST_my-app=198.18.2.1\n"))
    #expect(text.contains("\nWARP_RUNNER=it's \"r\" $1\n"))
  }

  @Test(arguments: [
    "", "r1", "it's", "''", "'\u{301}; exit 3; '", "a b", "$(exit 3)", "`exit 3`", "\\", "\"x\"",
    "*",
    "a\tb", "#x",
  ])
  func `a shell reads back the value that was written`(value: String) throws {
    let text = try [EnvironmentVariable(name: "WARP_RUNNER", value: value)].shellText()
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", text + "printf %s \"$WARP_RUNNER\""]
    process.standardOutput = output
    try process.run()
    let read = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(read == Data(value.utf8))
  }

  @Test(arguments: ["a\nb", "a\r\nb", "\r", "a\0"])
  func `a value with a line break or NUL is refused in both forms`(value: String) {
    let list = [EnvironmentVariable(name: "WARP_RUNNER", value: value)]
    #expect(throws: UnrenderableVariable.self) { try list.shellText() }
    let error = #expect(throws: UnrenderableVariable.self) { try list.environmentFileText() }
    #expect(error?.description.contains("WARP_RUNNER") == true)
  }

  @Test(arguments: ["", "A=B", "A\nB", "A\0"])
  func `a name that no environment can hold is refused in both forms`(name: String) {
    let list = [EnvironmentVariable(name: name, value: "x")]
    #expect(throws: UnrenderableVariable.self) { try list.shellText() }
    #expect(throws: UnrenderableVariable.self) { try list.environmentFileText() }
  }

  @Test func `an instance is named by deployment, service and number`() throws {
    let instance = try Instance(
      deployment: DeploymentName("shop"), service: ServiceName("app"), serviceNumber: 1, number: 2,
      runner: "r1")
    #expect(instance.id == "shop/app.2")
  }

  @Test(arguments: [
    ("shpo", "shop"), ("Shop", "shop"), ("sho", "shop"), ("zz", nil), ("", nil),
    (String(repeating: "s", count: 300), nil),
  ])
  func `the nearest name is the one with a slip of the fingers`(name: String, expected: String?) {
    #expect(nearest(to: name, among: ["other", "shop", "web"]) == expected)
  }
}
