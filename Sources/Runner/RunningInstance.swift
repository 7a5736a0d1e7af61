import Dataplane
import Fabric
import LinuxSystem
import Model

/// An instance that this runner has, and where its parts are: all of it follows from the registry's
/// record, so that a daemon that starts finds what another one made.
struct RunningInstance: Sendable {
  let instance: Instance
  let identity: Identity
  let cgroup: Cgroup
  let link: InstanceLink
  let hostsPath: String
  /// Where it is a container: then cgroup and hosts file are as this says.
  let record: ContainerRecord?

  init(
    _ instance: Instance, deployment: Deployment, plan: AddressPlan, instancesRoot: Cgroup,
    installation: Installation, record: ContainerRecord?
  ) {
    self.instance = instance
    self.record = record
    let address = plan.instanceAddress(instance.serviceNumber, instance.number)
    let name = "\(instance.service.hostName).\(instance.number)"
    identity = Identity(deployment: deployment.id, address: address)
    cgroup =
      record.map { Cgroup(path: $0.cgroupPath) }
      ?? Self.deploymentCgroup(instance.deployment, in: instancesRoot).child(name)
    // 15 bytes at most, and still different for every instance of the deployment.
    link = InstanceLink(
      name: "\(instance.service.hostName.prefix(7))-\(instance.serviceNumber)-\(instance.number)",
      ifindex: identity.ifindex, address: address)
    hostsPath =
      record?.hostsPath ?? "\(installation.hostsDirectory)/\(instance.deployment)/\(name)"
  }

  /// The cgroup of a deployment's instances. The suffix keeps a deployment from having the name of
  /// one of cgroupfs's own files.
  static func deploymentCgroup(_ deployment: DeploymentName, in instancesRoot: Cgroup) -> Cgroup {
    instancesRoot.child("\(deployment).deployment")
  }
}
