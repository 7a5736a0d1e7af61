/// The version of what one istbpf-relay says to the one that takes its place (handover.proto).
///
/// It changes when a field is added that must not be overlooked. Relays of different versions pass nothing on: the one
/// that was there before carries its connections until they end.
package let handOverVersion: UInt32 = 1
