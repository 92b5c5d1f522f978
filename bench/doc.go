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
//	-meter          connections count all that TCP_INFO has (stack.TCPConfig.Meter)
//	-conns LIST     run only these numbers of connections
//	-port P         mem: both ends here, joined by memory (default);
//	                tap:NAME: clients on a TAP device, servers elsewhere
//	                dpdk:pair: as mem, over a pair of DPDK's rings
//	                dpdk:DEVICE: clients on a device of DPDK's, a PCI address or a
//	                virtual device, servers elsewhere; go test -tags dpdk
//	-eal "ARGS"     more arguments for DPDK's environment
//
// and with -port tap:NAME or dpdk:DEVICE, of which the latter has no -kernel-addr
//
//	-to ADDR        the servers' address: "shardgen serve" listens there
//	-addr A/N       the clients' address; several times, for many connections
//	-kernel-addr A/N, -netns NAME, -gateway ADDR
//	                the kernel's end of the device, the network namespace it is
//	                in, and the way to a server that is not on its network
//
// # Benchmarks
//
//	Bulk      sending, 1, 16, 1,000 connections; an operation is a kilobyte. With
//	          pairs the connections of a core take turns, a write of some 64 KiB
//	          each, with three under way (load.Config.InFlight)
//	BulkOffload   the same with segments of up to 64 KiB, cut and joined in
//	          software (soft; turns of some 128 KiB, one at a time, which GRO joins
//	          into one packet) or by the wire (port; all write as they can)
//	RR        64 bytes there and back, 1 to 100,000 connections
//	CPS       connect, 64 bytes each way, close
//	HTTP      requests on kept connections
//	UDP       datagrams of 64 and 1,400 bytes
//	Accept    storms: all connect at once, and fill the listener's backlog
//	Idle      connections that send nothing, 10,000 and 100,000 of them; try
//	          -conns 1000000 where there is memory for both ends (1 GB)
//	Pull      connections that have sent 16 KiB by pull transmit and wait for
//	          more, up to 1,000,000 of them
//	Handover  elements from core to core over a ring, in batches of 1 and 32
//	Kernel    one connection with the Linux kernel over a TAP device, with its
//	          offloads and without, and the kernel with itself over veth; needs
//	          root
//	Timers    arming and cancelling those of a thousand and a million connections
//
// Handover and Timers have no packets and heed only -coremask, and -conns for Timers.
//
// A benchmark warms up first, then runs for -benchtime and reports, beside
// ns/op (an operation is a transaction, connection, datagram, element or timer
// if nothing else is said) and B/op:
//
//	Gbit/s          application data
//	packets/s       frames on the wire, both directions
//	ns/packet/core  time of a core a frame, handled at both ends: cores × time /
//	                frames; with servers elsewhere, time of ours
//	transactions/s, requests/s, connections/s, datagrams/s, elements/s
//	p50-ns, p99-ns, p999-ns   latency seen by the client after the warm-up
//	drops, retrans  what the stacks dropped or sent again; the log says why
//	missed          frames that the ports lost: no buffer, no room, damaged
//	bytes/connection   memory of one end of an idle connection: PCB, timer,
//	                table and the client's own state, as the process grows
//
// Output is in the Go benchmark format; compare two with benchstat.
//
// # Servers elsewhere
//
// On the far host, or here in a namespace whose kernel forwards between two
// devices:
//
//	ip netns add lab
//	ip netns exec lab sysctl -w net.ipv4.ip_forward=1
//	shardgen serve --port tap:far --netns lab --corelist 1 \
//	  --addr 198.18.1.1/24 --kernel-addr 198.18.1.2/24 --gateway 198.18.1.2 &
//	go test -run '^$' -bench 'RR|UDP' ./bench -args -coremask 0x1 \
//	  -port tap:near -netns lab -addr 198.18.0.1/24 -kernel-addr 198.18.0.2/24 \
//	  -gateway 198.18.0.2 -to 198.18.1.1
//
// Counters, drops and latencies are then those of the clients; what the servers
// saw, serve reports when it ends. An operation of Bulk is a kilobyte that they
// acknowledged, one of UDP a datagram sent.
package bench
