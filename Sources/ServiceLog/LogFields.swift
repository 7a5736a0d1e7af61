import Logging
import Model

/// What a line of the log is about, as fields that a journal can be searched by.
package enum LogField {
  package static let all: Set<String> = [deployment, service, instance, runner]

  package static let deployment = "deployment"
  package static let service = "service"
  package static let instance = "instance"
  package static let runner = "runner"
}

extension DeploymentName {
  /// The fields of a line about this deployment.
  package var logFields: Logger.Metadata { [LogField.deployment: "\(self)"] }
}

extension Service {
  /// The fields of a line about this service.
  package var logFields: Logger.Metadata {
    [LogField.deployment: "\(deployment)", LogField.service: "\(name)"]
  }
}

extension Instance {
  /// The fields of a line about this instance.
  package var logFields: Logger.Metadata {
    [
      LogField.deployment: "\(deployment)", LogField.service: "\(service)",
      LogField.instance: "\(id)",
    ]
  }
}
