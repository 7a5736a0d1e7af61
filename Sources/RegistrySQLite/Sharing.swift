import GRDB
import Model
import Registry

extension SQLiteRegistry: SharedRegistry {
  /// What the file holds, now and after every change that this process makes; see `SharedRegistry`.
  ///
  /// No other runner shares the file, so the only runners are those that its instances name.
  public func views() async -> AsyncStream<ClusterView> {
    let observation = ValueObservation.tracking { database in
      let deployments = try database.deployments()
      let instances = try database.instances()
      let runners = Set(instances.map(\.runner)).map {
        ClusterRunner(name: $0, address: "", version: istbpfVersion)
      }
      return ClusterView(
        deployments: deployments,
        services: try deployments.flatMap { try database.services(of: $0) }, instances: instances,
        runners: runners, condition: ClusterCondition())
    }.removeDuplicates()
    let (stream, continuation) = AsyncStream.makeStream(
      of: ClusterView.self, bufferingPolicy: .bufferingNewest(1))
    let task = Task { [queue] in
      // A file that cannot be read ends the stream; whoever reads or writes it next is told why.
      do { for try await view in observation.values(in: queue) { continuation.yield(view) } } catch
      {}
      continuation.finish()
    }
    continuation.onTermination = { _ in task.cancel() }
    return stream
  }
}
