// FabricTests
