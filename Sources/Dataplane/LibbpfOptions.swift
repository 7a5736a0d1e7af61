/// The size to put into `sz` of a libbpf options struct: up to the end of `field`, the last one that
/// is used.
///
/// Not the struct's own size: libbpf refuses options whose padding is not zero, and Swift does not
/// keep padding when it copies.
func optionsSize<Options, Field>(through field: KeyPath<Options, Field>) -> Int {
  (MemoryLayout<Options>.offset(of: field) ?? 0) + MemoryLayout<Field>.size
}
