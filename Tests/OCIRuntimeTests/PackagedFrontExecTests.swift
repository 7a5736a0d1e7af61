import Foundation
import TestSupport
import Testing

@testable import OCIRuntime

/// The state that runc keeps is written here as it writes it; Scripts/package-test has real containers.
@Suite("Processes that the program before the wrapper has executed by the runtime alone")
struct PackagedFrontExecTests {
  private let front: PackagedFront
  private let root: String

  init() throws {
    front = try PackagedFront()
    root = "\(front.directory)/root"
    try front.write(#"{"process":{"args":["sleep"]}}"#, to: "bundle/config.json")
    try writeState()
  }

  private func writeState(_ hooks: String = "", labels: String? = nil) throws {
    let bundle = #""bundle=\#(front.directory)/bundle""#
    try front.write(
      #"{"id":"ID","config":{"rootfs":"/r","labels":[\#(labels ?? bundle)],"Hooks":{\#(hooks)}}}"#,
      to: "root/ID/state.json")
  }

  private func isPassedOn(_ line: String = "--root R exec --process /p ID") throws -> Bool {
    try front.isPassedOn(
      line.split(separator: " ").map {
        $0 == "R" ? root : String($0).replacing("=R", with: "=\(root)")
      })
  }

  @Test(
    "In the ways in which engines write it",
    arguments: [
      "--root R --log /dev/null --log-format json exec --process /p --detach --pid-file /f ID",
      "--root=R --systemd-cgroup exec --process=/p --console-socket /s -t -d ID",
      "--root R exec ID sh -c x --cap all",
    ])
  func plain(_ line: String) throws { #expect(try isPassedOn(line)) }

  @Test(
    "Not in others",
    arguments: [
      "exec ID sh", "--root R exec", "--root R exec --process /p", "--root R --root R exec ID sh",
      "--root relative exec ID sh", "--root R exec --cap CAP_SYS_ADMIN ID sh",
      "--root R exec --preserve-fds 3 ID sh", "--root R exec --proc /p ID",
      "--root R exec -- ID sh",
      "--root R exec -p ID", "--root R exec --process --detach ID", "--root R exec ../root/ID sh",
      "--root R exec other sh", "--root R exec . sh",
    ])
  func unclear(_ line: String) throws { #expect(try !isPassedOn(line)) }

  @Test("Not where the container was made an instance, by what the runtime keeps or by its bundle")
  func instance() throws {
    #expect(try isPassedOn())
    let hook = #""createRuntime":[{"path":"/x","args":["istbpf-oci","istbpf-hook","attach"]}]"#
    try writeState(hook)
    #expect(try !isPassedOn())
    try writeState(
      hook.replacing("istbpf-hook", with: #"istbpf\u002dhook"#).replacing("istbpf-oci", with: "x"))
    #expect(try !isPassedOn())
    try writeState()
    try front.write(#"{"hooks":{\#(hook)}}"#, to: "bundle/config.json")
    #expect(try !isPassedOn())
  }

  @Test("Not where it cannot be told which bundle it has, nor of crun's containers")
  func uncertain() throws {
    let bundle = "\(front.directory)/bundle"
    for labels in [
      "", #""bundle=/no-such""#, #""bundle=\#(bundle)","bundle=/other""#,
      #""bundle=\#(bundle.replacing("/", with: #"\/"#))""#, #""bundle="#,
    ] {
      try writeState(labels: labels)
      #expect(try !isPassedOn(), "\(labels)")
    }
    try writeState()
    #expect(try isPassedOn())
    try front.write(#"{"bundle":"\#(bundle)"}"#, to: "root/ID/status")
    #expect(try !isPassedOn())
  }

  @Test("Not where a record of istbpfd may be about it")
  func recorded() throws {
    try front.write(#"{"container":"other","engine":"docker","cgroupPath":"\/x"}"#, to: "records/1")
    #expect(try isPassedOn())
    for record in [
      #"{"container":"ID"}"#, #"{"container":"\u0049D"}"#, "", "\0", #"{"container":"xIDx"}"#, "{",
    ] {
      try front.write(record, to: "records/2")
      #expect(try !isPassedOn(), "\(record)")
    }
    try FileManager.default.removeItem(atPath: "\(front.records)/2")
    try FileManager.default.createDirectory(
      atPath: "\(front.records)/3", withIntermediateDirectories: false)
    #expect(try !isPassedOn(), "no file")
    try FileManager.default.removeItem(atPath: "\(front.records)/3")
    for number in 0..<300 { try front.write("{}", to: "records/\(number)") }
    #expect(try !isPassedOn(), "too many to look at")
  }
}
