// Package bench measures the stack as a generator uses it: client and server
// groups joined by the in-memory wire, loads of package load on them.
//
//	go test -run '^$' -bench . ./bench -args -coremask 0x3
//
// Arguments after -args:
//
//	-coremask M     the cores to use (default: all allowed)
//	-layout L       pairs: each core runs a client and a server shard in turn,
//	                split: the first half of the cores are clients, the other
//	                half servers (default: pairs)
//	-conns LIST     run only these numbers of connections
//
// A benchmark warms up first, then runs for -benchtime and reports, beside
// ns/op (an operation is a transaction, connection or datagram; for bulk, a
// kilobyte):
//
//	Gbit/s          application data
//	packets/s       frames on the wire, both directions
//	ns/packet       time of a core a frame, handled at both ends: cores × time / frames
//	transactions/s, connections/s
//	p50-µs, p99-µs, p999-µs   latency seen by the client
//	drops, retrans  what the stacks and the wire lost or sent again
package bench
