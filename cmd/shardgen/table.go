package main

import (
	"time"

	"github.com/shardstack/shardstack/bench/load"
	"github.com/shardstack/shardstack/stack"
)

// generatorFlags are those of a command that makes load until it is told not to.
const generatorFlags = flagTo | flagConns | flagDuration | flagRate | flagCount

// commands are the subcommands in the order of the help text.
func commands() []*command {
	return append(append(tcpCommands(), packetCommands()...), otherCommands()...)
}

// tcpCommands measure TCP.
func tcpCommands() []*command {
	return []*command{
		{
			name: "tcp", summary: "bulk transfer: each connection sends all it can",
			help: `Sends to a server that takes all it gets (RFC 863 discard). An operation is a
write of --size bytes; bytes count when the server has acknowledged them.`,
			flags:    generatorFlags | flagSize,
			defaults: defaults{device: "mem", port: load.PortDiscard, conns: 4, duration: 10 * time.Second, size: 16 << 10, sizeHelp: "bytes a write"},
			client:   func(s *stack.Stack, cfg load.Config) load.Client { return load.NewBulk(s, cfg) },
			run:      runClients, units: "writes", windows: true,
		},
		{
			name: "rr", summary: "request-response: each connection sends, waits for the answer, and again",
			help: `Sends --size bytes to an echo server (RFC 862) and waits for as many. An
operation is one such transaction; its latency is measured.`,
			flags:    generatorFlags | flagSize,
			defaults: defaults{device: "mem", port: load.PortEcho, conns: 64, duration: 10 * time.Second, size: 64, sizeHelp: "bytes of a request, and of its answer"},
			client:   func(s *stack.Stack, cfg load.Config) load.Client { return load.NewRR(s, cfg) },
			run:      runClients, units: "transactions",
		},
		{
			name: "cps", summary: "connections a second: connect, one transaction, close, and again",
			help: `An operation is a connection to an echo server with one transaction of --size
bytes; its latency is the time from SYN to the last byte of the answer. We close
first, so that TIME-WAIT, if --time-wait asks for it, is ours.`,
			flags:    generatorFlags | flagSize,
			defaults: defaults{device: "mem", port: load.PortEcho, conns: 64, duration: 10 * time.Second, size: 64, sizeHelp: "bytes of a request, and of its answer"},
			client:   func(s *stack.Stack, cfg load.Config) load.Client { return load.NewCPS(s, cfg) },
			run:      runClients, units: "connections",
		},
		{
			name: "http", summary: "HTTP/1.1 requests on connections that are kept alive",
			help: `An operation is a GET of --path and its whole answer. A status that is not 2xx
counts as an error.`,
			flags:    generatorFlags | flagPath,
			defaults: defaults{device: "mem", port: load.PortHTTP, conns: 64, duration: 10 * time.Second, size: 1},
			client:   func(s *stack.Stack, cfg load.Config) load.Client { return load.NewHTTP(s, cfg) },
			run:      runClients, units: "requests",
		},
		{
			name: "exchange", summary: "both directions at once, with hashes that must agree",
			help: `Each of --conns connections sends --size bytes and receives as many at the same
time; both ends compare hashes (XXH64) at the end. The other end is "shardgen
serve". Fails if any hash differs.`,
			flags:    flagTo | flagConns | flagDuration | flagSize,
			defaults: defaults{device: "mem", port: load.PortExchange, conns: 1, size: 64 << 20, sizeHelp: "bytes each way"},
			client:   func(s *stack.Stack, cfg load.Config) load.Client { return load.NewExchange(s, cfg) },
			run:      runClients, units: "exchanges", windows: true,
		},
	}
}

// packetCommands measure datagrams.
func packetCommands() []*command {
	return []*command{
		{
			name: "udp", summary: "datagrams, as many as go",
			help: `Sends datagrams of --size bytes on --conns flows. Loss is known where the other
end is ours (--port mem) or returns them (--echo).`,
			flags:    generatorFlags | flagSize | flagEcho,
			defaults: defaults{device: "mem", port: load.PortDiscard, echoPort: load.PortEcho, conns: 4, duration: 10 * time.Second, size: 64, sizeHelp: "bytes of a datagram's payload, at least 8"},
			client:   func(s *stack.Stack, cfg load.Config) load.Client { return load.NewUDP(s, cfg) },
			run:      runClients, units: "datagrams",
		},
		{
			name: "ping", summary: "ICMP echo requests, one shard",
			help: `An operation is a request that was answered. Uses the first of the cores only,
as answers come back to any shard.`,
			flags:    flagTo | flagDuration | flagSize | flagRate | flagCount,
			defaults: defaults{device: "mem", port: 1, conns: 1, duration: 10 * time.Second, size: 56, sizeHelp: "bytes of data in a request", rate: 1},
			client:   func(s *stack.Stack, cfg load.Config) load.Client { return load.NewPing(s, cfg) },
			run:      runClients, units: "answers", oneShard: true,
		},
	}
}

// otherCommands measure nothing, or all of it.
func otherCommands() []*command {
	return []*command{
		{
			name: "serve", summary: "the other end: echo, discard, chargen, HTTP, exchange",
			help: `Serves until Ctrl-C, on TCP unless it says otherwise:
     7  echo, also on UDP        9  discard, also on UDP      19  chargen
    80  HTTP: / is --body bytes, /bytes/N is N bytes, /sha256/N their SHA-256
  5201  exchange`,
			flags:    flagDuration | flagBody,
			defaults: defaults{device: "", conns: 1024},
			run:      runServe, units: "operations",
		},
		{
			name: "ports", summary: "what ports can do, what is used of it, what is done in software",
			help: `Lists the offloads of the in-memory wire and of a TAP device, or of the one that
--port names. The device is made for the look and goes again; it needs root.`,
			defaults: defaults{conns: 1},
			run:      runPorts,
		},
		{
			name: "doctor", summary: "what of this machine keeps shards from their best, and what to do",
			help: `Looks at pages, IOMMU, the card that --port dpdk:ADDRESS names and its NUMA node,
isolation and ticks of the cores, interrupts, frequencies. Changes nothing.`,
			defaults: defaults{conns: 1},
			run:      runDoctor,
		},
		{
			name: "demo", summary: "tcp, rr, cps and udp on the in-memory wire, and their figures",
			help:     "Client shards run on the first half of the cores, server shards on the other.",
			flags:    flagDuration,
			defaults: defaults{device: "mem", conns: 64, duration: 10 * time.Second, size: 64},
			run:      runDemo,
		},
	}
}
