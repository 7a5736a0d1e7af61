// RegistryTests
