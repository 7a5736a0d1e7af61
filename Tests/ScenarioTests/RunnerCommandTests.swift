import Foundation
import Model
import Registry
import TestSupport
import Testing

@testable import Runner

@Suite("The runners of a cluster, and what is lost with one", .timeLimit(.minutes(10)))
struct RunnerCommandTests {
  @Test("A runner that is there is not forgotten; one that is gone is, and its numbers are free")
  func forgotten() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      _ = try cluster.instance(of: "shop/app", on: 1)
      _ = try cluster.instance(of: "shop/db", on: 2)
      func runners() throws -> [[String]] {
        try cluster[1].istbpf("runner", "list").output.split(separator: "\n").dropFirst()
          .map { $0.split(separator: " ").map(String.init) }
      }
      let here = ["runner1", "there", "10.77.0.1:7443", istbpfVersion, "1", "1"]
      #expect(
        try runners() == [here, ["runner2", "there", "10.77.0.2:7443", istbpfVersion, "1", "1"]])

      let early = try cluster[1].istbpf("runner", "forget", "runner2")
      #expect(early.status == 1 && early.errors.contains("is there, at 10.77.0.2:7443"))
      cluster[2].killAll()
      let isGone = try cluster[1].eventually(within: 30) {
        try runners() == [here, ["runner2", "gone", "-", "-", "0", "1"]]
      }
      #expect(isGone)
      let wrong = try cluster[1].istbpf("runner", "forget", "runer2")
      #expect(
        wrong.status == 1 && wrong.errors.contains("did you mean \"runner2\"?"), "\(wrong.errors)")
      let right = try cluster[1].istbpf("runner", "forget", "runner2")
      #expect(
        right.output == "forgot runner2; numbers of instances that are free again: 1\n",
        "\(right.errors)")
      #expect(try runners() == [here])
    }
  }

  @Test("Instances that vanish all at once are kept and told of, until a command confirms it")
  func confirmed() async throws {
    try await ClusterLaboratory.with { cluster in
      try cluster.deploy("shop", "app", "db")
      _ = try cluster.instance(of: "shop/app", on: 1)
      for _ in 1...2 { _ = try cluster.instance(of: "shop/db", on: 2) }
      #expect(try cluster[1].istbpf("runner", "confirm-loss").output == "no instance is held\n")
      cluster[2].killDaemon()
      try cluster.etcd.delete(
        "/istbpf/v1/\(ClusterLaboratory.name)/endpoints/")
      let isHeld = try cluster[1].eventually(within: 30) {
        try cluster.get("/metrics", from: 1).contains("\nistbpf_registry_held_instances 2\n")
      }
      #expect(isHeld)
      #expect(try cluster[1].istbpf("status").output.contains("2 instances vanished at once"))
      #expect(try cluster[1].reachable("shop/db").count == 2)
      let confirmation = try cluster[1].istbpf("runner", "confirm-loss")
      #expect(confirmation.output == "confirmed: 2 instances are gone\n")
      #expect(try cluster[1].eventually { try cluster[1].reachable("shop/db").isEmpty })
      #expect(try !cluster[1].istbpf("status").output.contains("vanished"))
    }
  }

  @Test("A runner that is alone says so")
  func alone() async throws {
    try await RunnerLaboratory.with { runner in
      for arguments in [
        ["list"], ["forget", "runner2"], ["drain", "runner1"], ["undrain", "runner1"],
      ] {
        let result = try runner.istbpf(["runner"] + arguments)
        #expect(result.status == 1 && result.errors.contains("this runner is alone"))
      }
      #expect(try runner.istbpf("runner", "confirm-loss").output == "no instance is held\n")
    }
  }

  @Test("A program that asks the daemon can tell what it may try again")
  func codes() {
    func code(_ error: RegistryError) -> String { "\(ControlStatus.code(of: error))" }
    #expect(code(.unreachable(endpoints: [], detail: "")) == "unavailable")
    #expect(code(.contended(what: "")) == "aborted")
    #expect(code(.denied(endpoints: [], detail: "")) == "permissionDenied")
    #expect(code(.runnerIsThere("", address: "")) == "failedPrecondition")
    #expect(code(.unknownRunner("", known: [])) == "notFound")
  }
}
