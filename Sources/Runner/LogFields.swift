import Logging
import Model

/// What a line of the log is about, as fields that a journal can be searched by.
enum LogField {
  static let all: Set<String> = [deployment, service, instance, runner]

  static let deployment = "deployment"
  static let service = "service"
  static let instance = "instance"
  static let runner = "runner"
}

extension DeploymentName {
  /// The fields of a line about this deployment.
  var logFields: Logger.Metadata { [LogField.deployment: "\(self)"] }
}

extension Service {
  /// The fields of a line about this service.
  var logFields: Logger.Metadata {
    [LogField.deployment: "\(deployment)", LogField.service: "\(name)"]
  }
}

extension Instance {
  /// The fields of a line about this instance.
  var logFields: Logger.Metadata {
    [
      LogField.deployment: "\(deployment)", LogField.service: "\(service)",
      LogField.instance: "\(id)",
    ]
  }
}
