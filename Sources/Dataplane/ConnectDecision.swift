import CDataplaneABI
import CLibbpf
import Glibc
import Model

/// What connect() would be told.
public struct ConnectDecision: Hashable, Sendable {
  /// Why it would be denied; nil where it is allowed.
  public let reason: Reason?
  /// The errno; 0 where it is allowed.
  public let error: Int32
  /// The address that the connection would go to: of several instances, any.
  public let chosen: IPv4Address
  /// Where it is allowed and within the deployment: the instances of the service that it may go to, on this
  /// runner and on others.
  public let local, remote: Set<InstanceNumber>
}

extension Dataplane {
  /// Asks the data path's own program, over the maps as they are, what a TCP connect() of the instance
  /// `caller` to `address` and `port` would be told. Nothing is connected or counted.
  public func decide(
    _ caller: Identity, connectingTo address: IPv4Address, port: UInt16
  ) throws(DataplaneError) -> ConnectDecision {
    var question = ist_explanation()
    question.caller = caller.abi(cgroup: 0)
    question.address = address.rawValue
    question.port = UInt32(port)
    var answer = question
    let program = try program("ist_explain")
    let size = UInt32(MemoryLayout<ist_explanation>.size)
    let result = withUnsafePointer(to: question) { question in
      withUnsafeMutablePointer(to: &answer) { answer in
        var options = bpf_test_run_opts()
        options.sz = optionsSize(through: \bpf_test_run_opts.retval)
        options.data_in = UnsafeRawPointer(question)
        options.data_size_in = size
        options.data_out = UnsafeMutableRawPointer(answer)
        options.data_size_out = size
        let result = bpf_prog_test_run_opts(program, &options)
        return result == 0 && options.retval != 0 ? -EINVAL : result
      }
    }
    guard result == 0 else { throw .failed("run", "ist_explain", result) }
    return ConnectDecision(
      reason: Reason(rawValue: answer.reason), error: Int32(answer.error),
      chosen: IPv4Address(answer.chosen), local: instanceNumbers(of: answer.local),
      remote: instanceNumbers(of: answer.remote))
  }
}

/// What the maps say of a service.
public struct PublishedService: Sendable {
  /// Its instances on this runner and on others.
  public let local, remote: Set<InstanceNumber>
  /// Those of this runner that are seen to listen on the port that was asked for.
  public let listening: Set<InstanceNumber>
}

extension PinnedState {
  /// What connect reads of a service; nil where none is published.
  public func published(
    _ service: ServiceNumber, deployment: DeploymentID, port: UInt16
  ) throws(DataplaneError) -> PublishedService? {
    let key = ist_service_key(deployment: UInt32(deployment), service: UInt32(service))
    guard let value = try maps.services.value(at: key) else { return nil }
    let at = ist_service_port(deployment: UInt32(deployment), service: service, port: port)
    let listening = try maps.listening.value(at: at) ?? ist_listening()
    return PublishedService(
      local: instanceNumbers(of: value.local), remote: instanceNumbers(of: value.remote),
      listening: instanceNumbers(of: listening.instances))
  }
}

/// The instances whose bits are set in a C array of 64-bit words.
private func instanceNumbers<Words>(of words: Words) -> Set<InstanceNumber> {
  withUnsafeBytes(of: words) { bytes in
    let words = bytes.bindMemory(to: UInt64.self)
    return Set(
      AddressPlan.instanceNumbers.filter {
        words[Int($0) / 64] >> UInt64($0 % 64) & 1 == 1
      })
  }
}
