import CDataplaneABI
import CLibbpf
import Foundation
import LinuxSystem
import Model
import TestSupport

@testable import Dataplane

/// Programs loaded and maps pinned for one test, below a directory of bpffs of its own.
final class DataplaneLaboratory {
  let object: BPFObject
  let maps: MapSet
  /// Where the maps are pinned.
  let directory: String

  /// Loads the object: the real one, or that of bpf/tests.
  init(base64: String? = nil) throws {
    try requireRoot()
    try BPFFileSystem.mount()
    directory = "/sys/fs/bpf/istbpf-test-\(getpid())-\(UInt32.random(in: 0...0xffff_ffff))"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    do {
      if let base64 {
        object = try BPFObject(base64: base64, pinnedIn: directory, plan: .standard)
      } else {
        object = try BPFObject(pinnedIn: directory, plan: .standard)
      }
      try BPFMap<UInt32, UInt32>("layout", pinnedIn: directory).set(UInt32(IST_ABI_VERSION), at: 0)
      maps = try MapSet(pinnedIn: directory)
    } catch {
      try? FileManager.default.removeItem(atPath: directory)
      throw error
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  /// Runs a syscall program over `context`, and returns what it made of that.
  func run<Context: BitwiseCopyable>(_ program: String, _ context: Context) throws -> Context {
    var context = context
    var options = bpf_test_run_opts()
    options.sz = optionsSize(through: \bpf_test_run_opts.retval)
    let descriptor = try object.program(program)
    let result = withUnsafeMutableBytes(of: &context) { bytes in
      options.ctx_in = UnsafeRawPointer(bytes.baseAddress)
      options.ctx_size_in = UInt32(bytes.count)
      return bpf_prog_test_run_opts(descriptor, &options)
    }
    guard result == 0 else { throw DataplaneError.failed("run", program, result) }
    return context
  }

  /// Runs a tc program over a packet that is `packet`, and returns what it made of that.
  func run<Packet: BitwiseCopyable>(_ program: String, onPacket packet: Packet) throws -> Packet {
    var (input, output) = (packet, packet)
    var options = bpf_test_run_opts()
    options.sz = optionsSize(through: \bpf_test_run_opts.retval)
    let descriptor = try object.program(program)
    let result = withUnsafeMutableBytes(of: &input) { input in
      withUnsafeMutableBytes(of: &output) { output in
        options.data_in = UnsafeRawPointer(input.baseAddress)
        options.data_size_in = UInt32(input.count)
        options.data_out = output.baseAddress
        options.data_size_out = UInt32(output.count)
        return bpf_prog_test_run_opts(descriptor, &options)
      }
    }
    guard result == 0, options.retval == 0 else {
      throw DataplaneError.failed("run", program, result)
    }
    return output
  }

  /// Declares a service with these local and remote instances.
  func declare(
    _ service: UInt16, deployment: DeploymentID, local: [UInt8] = [], remote: [UInt8] = [],
    flags: UInt32 = 0
  ) throws {
    var value = ist_service()
    value.flags = flags
    value.port = 8080
    withUnsafeMutableBytes(of: &value) { bytes in
      let words = bytes.bindMemory(to: UInt64.self)
      for instance in local { words[Int(instance) / 64] |= 1 << UInt64(instance % 64) }
      for instance in remote { words[4 + Int(instance) / 64] |= 1 << UInt64(instance % 64) }
    }
    try maps.services.set(
      value, at: ist_service_key(deployment: UInt32(deployment), service: UInt32(service)))
  }
}
