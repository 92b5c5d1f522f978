package main

import (
	"fmt"
	"strings"
)

// helpWidth is where help texts wrap, in columns.
const helpWidth = 100

const overviewHead = `shardgen makes and takes traffic with shardstack, a user-space TCP/IP stack
that runs one stack a core.

Usage:
  shardgen COMMAND [flags]

Commands:
`

const overviewTail = `  help      this text, or with a command its flags

Examples:
  # Two shards joined by memory: client on core 0, server on core 1.
  shardgen tcp --coremask 0x3
  shardgen rr --coremask 0x3 --conns 1000 --size 128

  # A TAP device: the kernel is 10.9.0.2, shardgen 10.9.0.1.
  shardgen serve --port tap:gen0 --corelist 0,1 &
  curl -o /dev/null http://10.9.0.1/bytes/1000000000

  # Against a server of the kernel's, at 10,000 requests a second, as JSON.
  shardgen http --port tap:gen0 --to 10.9.0.2:80 --rate 10k --json

  # In a network namespace, and with a capture for Wireshark.
  shardgen udp --port tap:gen0 --netns lab --addr 198.18.0.1/24 --kernel-addr 198.18.0.2/24 \
    --echo --pcap udp.pcapng

Ctrl-C ends a run in order and prints the report; a second one ends it at once.
Exit codes: 0 done, 1 the run failed, 2 the command line is wrong.
`

// overview is the help text without a command.
func overview() string {
	var b strings.Builder
	b.WriteString(overviewHead)
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-9s %s\n", c.name, c.summary)
	}
	b.WriteString(overviewTail)
	return b.String()
}

// examples are the command lines that a command's help shows.
var examples = map[string][]string{
	"tcp": {
		"shardgen tcp --coremask 0x3 --conns 8",
		"shardgen tcp --port tap:gen0 --to 10.9.0.2:9 --duration 30s",
	},
	"rr": {
		"shardgen rr --coremask 0x3 --conns 10000",
		"shardgen rr --port tap:gen0 --to 10.9.0.2:7 --rate 50k",
	},
	"cps": {
		"shardgen cps --coremask 0x3 --rate 20k",
		"shardgen cps --port tap:gen0 --addr 10.9.0.1/24,10.9.0.3/24 --kernel-addr 10.9.0.2/24",
	},
	"udp": {
		"shardgen udp --coremask 0x3 --size 1400 --rate 500k",
		"shardgen udp --port tap:gen0 --echo --rate 10k",
	},
	"http": {
		"shardgen http --port tap:gen0 --to 10.9.0.2:80 --path /index.html --count 100k",
		"shardgen http --coremask 0x3 --path /bytes/100000",
	},
	"ping": {
		"shardgen ping --port tap:gen0 --to 10.9.0.2 --count 10",
		"shardgen ping --corelist 0,1 --rate 100k",
	},
	"exchange": {
		"shardgen exchange --coremask 0x3 --size 1G",
		"shardgen exchange --port tap:gen0 --to 10.9.0.2 --conns 4",
	},
	"serve": {
		"shardgen serve --port tap:gen0 --corelist 0-1",
		"shardgen serve --port tap:gen0 --netns lab --addr 198.18.0.1/24 --kernel-addr 198.18.0.2/24",
	},
	"ports": {
		"shardgen ports",
		"shardgen ports --port tap:gen0 --netns lab --json",
	},
	"doctor": {
		"shardgen doctor --coremask 0x3",
		"shardgen doctor --port dpdk:0000:01:00.0 --corelist 0-1",
	},
	"demo": {"shardgen demo --coremask 0x3 --duration 10s"},
}

// usage is the help text of a command.
func (c *command) usage() string {
	var b strings.Builder
	fmt.Fprintf(&b, "shardgen %s: %s\n\n%s\n", c.name, c.summary, c.help)
	var o options
	for _, g := range o.flagGroups(c) {
		if text := g.flags.FlagUsagesWrapped(helpWidth); text != "" {
			fmt.Fprintf(&b, "\n%s:\n%s", g.title, text)
		}
	}
	b.WriteString("\nExamples:\n")
	for _, e := range examples[c.name] {
		fmt.Fprintf(&b, "  %s\n", e)
	}
	return b.String()
}
