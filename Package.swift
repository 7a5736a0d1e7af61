// swift-tools-version: 6.2
// The targets and what each may depend on: the architecture in one screen.
//
//   Commands ──> ControlAPI ──> (gRPC over a Unix socket) <── Runner (istbpfd)
//      │                                                        │ composes
//      └── inspect, doctor, uninstall ──> Dataplane, Fabric, Registry <──┘
//
// Model does no I/O. Dataplane is the only user of libbpf, Fabric the only user of netlink, and
// they know nothing of each other, of the registry or of gRPC.

import PackageDescription

let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "istbpf",
  products: [
    .executable(name: "istbpfd", targets: ["istbpfd"]),
    .executable(name: "istbpf", targets: ["istbpf"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
    .package(url: "https://github.com/grpc/grpc-swift-2", from: "2.4.3"),
    .package(url: "https://github.com/grpc/grpc-swift-nio-transport", from: "2.9.2"),
    .package(url: "https://github.com/grpc/grpc-swift-protobuf", from: "2.4.1"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // C libraries of the system, and the header that BPF C and Swift share.
    .target(name: "CDataplaneABI"),
    .target(name: "CLinux"),
    .systemLibrary(name: "CLibbpf", pkgConfig: "libbpf", providers: [.apt(["libbpf-dev"])]),
    .systemLibrary(name: "CLibidn2", pkgConfig: "libidn2", providers: [.apt(["libidn2-dev"])]),
    .systemLibrary(
      name: "CLibnlRoute", pkgConfig: "libnl-route-3.0", providers: [.apt(["libnl-route-3-dev"])]),
    .systemLibrary(
      name: "CLibseccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),

    // Linux as Swift: no concept of this project in it.
    .target(
      name: "LinuxSystem",
      dependencies: [
        "CLinux", "CLibseccomp", .product(name: "SystemPackage", package: "swift-system"),
      ],
      swiftSettings: strict),

    // Deployments, services, instances, addresses: pure values.
    .target(name: "Model", dependencies: ["CLibidn2"], swiftSettings: strict),

    // The kernel side: programs and maps; namespaces and links.
    .target(
      name: "Dataplane", dependencies: ["CDataplaneABI", "CLibbpf", "LinuxSystem", "Model"],
      swiftSettings: strict, plugins: ["CompileBPF"]),
    .target(
      name: "Fabric", dependencies: ["CLibnlRoute", "LinuxSystem", "Model"], swiftSettings: strict),
    .executableTarget(name: "EmbedObject", path: "Plugins/EmbedObject", swiftSettings: strict),
    .plugin(name: "CompileBPF", capability: .buildTool(), dependencies: ["EmbedObject"]),

    // Where runners keep what exists.
    .target(name: "Registry", dependencies: ["Model"], swiftSettings: strict),
    .target(
      name: "RegistrySQLite",
      dependencies: ["Model", "Registry", .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: strict),

    // The daemon, its API, and the commands.
    .target(
      name: "ControlAPI",
      dependencies: [
        "Model",
        .product(name: "GRPCCore", package: "grpc-swift-2"),
        .product(name: "GRPCNIOTransportHTTP2Posix", package: "grpc-swift-nio-transport"),
        .product(name: "GRPCProtobuf", package: "grpc-swift-protobuf"),
        .product(name: "SwiftProtobuf", package: "swift-protobuf"),
      ],
      exclude: ["control.proto"],
      swiftSettings: strict),
    .target(
      name: "Runner",
      dependencies: [
        "ControlAPI", "Dataplane", "Fabric", "LinuxSystem", "Model", "Registry", "RegistrySQLite",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
      ],
      swiftSettings: strict),
    .target(
      name: "Commands",
      dependencies: [
        "ControlAPI", "Dataplane", "Fabric", "LinuxSystem", "Model",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "istbpfd",
      dependencies: [
        "Runner", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: strict),
    .executableTarget(name: "istbpf", dependencies: ["Commands"], swiftSettings: strict),

    // What Scripts/bench measures with: plain TCP, no part of the product.
    .executableTarget(
      name: "istbpf-bench",
      dependencies: [.product(name: "ArgumentParser", package: "swift-argument-parser")],
      swiftSettings: strict),

    .target(
      name: "TestSupport", dependencies: ["Fabric", "LinuxSystem", "Model"],
      path: "Tests/TestSupport", exclude: ["Programs"], swiftSettings: strict),
    .testTarget(name: "ModelTests", dependencies: ["Model"], swiftSettings: strict),
    .testTarget(
      name: "LinuxSystemTests", dependencies: ["LinuxSystem", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "RegistryTests",
      dependencies: [
        "Model", "Registry", "RegistrySQLite", .product(name: "GRDB", package: "GRDB.swift"),
      ],
      swiftSettings: strict),
    .testTarget(
      name: "FabricTests", dependencies: ["Fabric", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "DataplaneTests",
      dependencies: ["CDataplaneABI", "CLibbpf", "Dataplane", "LinuxSystem", "TestSupport"],
      swiftSettings: strict, plugins: ["CompileBPF"]),
    .testTarget(
      name: "ScenarioTests", dependencies: ["LinuxSystem", "Model", "Runner", "TestSupport"],
      swiftSettings: strict),
  ],
  swiftLanguageModes: [.v6]
)
