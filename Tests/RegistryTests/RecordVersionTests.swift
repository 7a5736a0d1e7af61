import Foundation
import Model
import Registry
import Testing

@testable import RegistryEtcd

/// The rule for what other versions wrote: Documentation/install.md, "Upgrade".
@Suite("Records of other versions")
struct RecordVersionTests {
  @Test("What an earlier version wrote, without what came later, is read")
  func earlier() throws {
    let service: ServiceRecord = try RecordCoding.decode(
      from: Data(#"{"egress":[],"number":3,"port":80,"private":true,"v":1}"#.utf8))
    #expect(service.timeout == nil && service.port.rawValue == 80)
    // What is said beside it is another version's of the same number.
    let runner: RunnerRecord = try RecordCoding.decode(
      from: Data(#"{"address":"a","new":{"x":1},"owner":"o","v":1,"version":"0.1.0"}"#.utf8))
    #expect(runner.version == "0.1.0" && runner.isDrained == nil)
    let known = try JSONDecoder().decode(
      ClusterRunner.self, from: Data(#"{"address":"a","name":"r1","version":"0.1.0"}"#.utf8))
    #expect(known == ClusterRunner(name: "r1", address: "a", version: "0.1.0"))
    let state: RunnerState = try RecordCoding.decode(
      from: Data(
        #"{"cluster":"c","ids":{"released":[],"used":{}},"instances":[],"owner":"o","runner":"r1","v":1}"#
          .utf8))
    #expect(state.isDrained == nil)
  }

  @Test(
    "What a later version wrote is refused by its number, and so is what is no record",
    arguments: [
      (#"{"v":2,"anything":1}"#, "it has version 2, and this istbpf knows up to 1"),
      (#"{"v":18446744073709551616}"#, "it is no record of istbpf"),
      (#"{"address":"a","owner":"o","version":"1"}"#, "it is no record of istbpf"),
      ("", "it is no record of istbpf"),
    ])
  func later(_ text: String, _ problem: String) {
    let error = #expect(throws: UnreadableRecord.self) {
      try RecordCoding.decode(RunnerRecord.self, from: Data(text.utf8))
    }
    #expect(error?.detail.hasPrefix(problem) == true, "\(String(describing: error))")
  }

  @Test("A runner's state of a later version is refused by the file's name, and stays as it is")
  func state() throws {
    let directory = FileManager.default.temporaryDirectory.appending(
      path: "istbpf-state-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: directory) }
    let files = StateFiles(directory: directory.path)
    let text = Data(#"{"v":2,"instances":{}}"#.utf8)
    try text.write(to: URL(fileURLWithPath: files.runner.path))
    #expect(
      throws: RegistryError.unreadable(
        key: files.runner.path, detail: "it has version 2, and this istbpf knows up to 1")
    ) { try files.runner.load() }
    #expect(try Data(contentsOf: URL(fileURLWithPath: files.runner.path)) == text)
    // Of etcd's state there is only a copy here, which etcd has anew.
    try text.write(to: URL(fileURLWithPath: files.cache.path))
    #expect(files.loadCache(of: "test") == nil)
  }
}
