package shardstack_test

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// room is one row of the import graph: a package, the folders below it that
// have no row of their own included.
type room struct {
	floor    int
	internal []string // rooms that may be imported; a room may import itself
	external []string // module paths outside the standard library
	without  []string // packages of the standard library that it must do without
	cgo      bool     // may call C
	testOnly bool     // only tests and other testOnly rooms may import it
	open     bool     // may import every room that is not testOnly
}

const (
	xsys     = "golang.org/x/sys"
	xsync    = "golang.org/x/sync"
	atomics  = "go.uber.org/atomic"
	netlink  = "github.com/vishvananda/netlink"
	netns    = "github.com/vishvananda/netns"
	ebpf     = "github.com/cilium/ebpf"
	pflag    = "github.com/spf13/pflag"
	histo    = "github.com/HdrHistogram/hdrhistogram-go"
	siphash  = "github.com/dchest/siphash"
	xxhash   = "github.com/cespare/xxhash/v2"
	testify  = "github.com/stretchr/testify"
	gopacket = "github.com/gopacket/gopacket"
)

var (
	noLocks   = []string{"sync", "sync/atomic", "net", "os", "syscall", "time"}
	noAtomics = []string{"sync/atomic", "net"}
	drivers   = []string{"header", "ring", "affinity", "pbuf", "rss", "offload", "netem", "pcapng", "port"}
)

// rooms is the import graph. Lower floors never import higher ones. A package
// that is not below one of these prefixes fails the test: give it a row.
var rooms = map[string]room{
	".": {floor: 0},

	"header":   {floor: 0, without: []string{"sync", "sync/atomic", "os", "syscall", "time"}},
	"ring":     {floor: 0, external: []string{atomics}, without: []string{"net", "os", "syscall"}},
	"affinity": {floor: 0, external: []string{xsys}},
	"pbuf":     {floor: 0, external: []string{xsys}, without: noAtomics},

	"rss":     {floor: 1, internal: []string{"header"}, without: noLocks},
	"offload": {floor: 2, internal: []string{"header", "pbuf"}, without: noLocks},
	"netem":   {floor: 2, internal: []string{"header", "pbuf"}, without: []string{"sync", "sync/atomic", "net", "os", "syscall"}},
	"pcapng":  {floor: 1, internal: []string{"pbuf"}, without: noLocks},

	"port":        {floor: 3, internal: drivers, external: []string{xsys}},
	"port/mem":    {floor: 3, internal: drivers},
	"port/tap":    {floor: 3, internal: append([]string{"internal/netspace"}, drivers...), external: []string{xsys, netlink, ebpf}},
	"port/dpdk":   {floor: 3, internal: drivers, external: []string{xsys}, cgo: true},
	"port/impair": {floor: 3, internal: drivers},
	"port/pcap":   {floor: 3, internal: drivers},
	"port/trace":  {floor: 3, internal: drivers},

	// singlethread_test.go holds what else stack must do without.
	"stack": {
		floor:    4,
		internal: []string{"header", "pbuf", "offload", "rss"},
		external: []string{siphash, xxhash},
	},
	// A network of stacks in simulated time, for tests of whoever uses the stack.
	"stack/sim": {floor: 4, internal: []string{"header", "pbuf", "netem", "pcapng", "offload", "rss", "stack"}},
	// Packetdrill scripts, run on a stack in simulated time.
	"stack/script": {floor: 4, internal: []string{"header", "pbuf", "stack"}},
	"shard": {
		floor:    5,
		internal: []string{"header", "ring", "affinity", "pbuf", "rss", "offload", "port", "stack"},
		external: []string{xsys, xsync, atomics, siphash, xxhash},
	},
	// header, pbuf and ring carry its messages; the stack itself is reached
	// through the shard only.
	"netconn": {
		floor:    6,
		internal: []string{"header", "pbuf", "ring", "stack", "shard"},
		external: []string{xsys, xsync, atomics},
	},
	"bench": {floor: 7, open: true, external: []string{xsys, xsync, atomics, xxhash, pflag, histo, netlink, netns}},
	"cmd":   {floor: 7, open: true, external: []string{xsys, xsync, atomics, pflag, histo, netlink, netns}},
	// It sets DPDK up itself, as a program in C would.
	"examples/dpdkown": {floor: 7, open: true, cgo: true},
	"examples":         {floor: 7, open: true, external: []string{xsys, xsync, pflag, histo}},

	"internal/netspace": {floor: 0, external: []string{netns}},
	"internal/testenv":  {floor: 0, testOnly: true, external: []string{xsys}},
	// A program in C, to compare package dpdk with.
	"port/dpdk/dpdktest": {floor: 0, testOnly: true, cgo: true},
	"pbuf/pbuftest":      {floor: 0, testOnly: true, internal: []string{"pbuf"}, external: []string{testify}},
}

// roomOf finds the longest prefix of dir that has a row.
func roomOf(dir string) (string, bool) {
	for d := dir; ; {
		if _, ok := rooms[d]; ok {
			return d, d != "." || dir == "."
		}
		i := strings.LastIndexByte(d, '/')
		if i < 0 {
			return "", false
		}
		d = d[:i]
	}
}

// below tells whether import path p is root or lies under it.
func below(p, root string) bool {
	return p == root || strings.HasPrefix(p, root+"/")
}

func anyBelow(p string, roots []string) bool {
	for _, r := range roots {
		if below(p, r) {
			return true
		}
	}
	return false
}

// allows says why a file of room name may not import p; "" if it may.
func allows(name, p string) string {
	r := rooms[name]
	if below(p, module) {
		dir := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
		if dir == "" {
			dir = "."
		}
		to, ok := roomOf(dir)
		switch {
		case !ok:
			return "it is not in the table of rooms"
		case to == name:
			return ""
		case rooms[to].testOnly && !r.testOnly:
			return "it is for tests only"
		case r.open:
			return ""
		}
		for _, in := range r.internal {
			if in == to {
				return ""
			}
		}
		return "the table of rooms does not allow it"
	}
	first, _, _ := strings.Cut(p, "/")
	if strings.Contains(first, ".") {
		if anyBelow(p, r.external) {
			return ""
		}
		return "the room may not use this module"
	}
	for _, w := range r.without {
		if p == w {
			return "the room must do without it"
		}
	}
	if p == "C" && !r.cgo {
		return "the room may not use cgo"
	}
	return ""
}

// checkImports gives one line for every import that breaks the graph and for
// every package without a row.
func checkImports(list []*source) []string {
	var faults []string
	missing := make(map[string]bool)
	for _, s := range list {
		name, ok := roomOf(s.dir())
		if !ok {
			if !missing[s.dir()] {
				missing[s.dir()] = true
				faults = append(faults, fmt.Sprintf("package %s is not in the table of rooms (imports_test.go)", s.dir()))
			}
			continue
		}
		if s.isTest() {
			continue
		}
		for p, pos := range s.imports() {
			if why := allows(name, p); why != "" {
				faults = append(faults, fmt.Sprintf("%s: %s imports %q: %s", s.at(pos), name, p, why))
			}
		}
	}
	sort.Strings(faults)
	return faults
}

// checkTable finds rows that contradict the floors.
func checkTable(table map[string]room) []string {
	var faults []string
	for name, r := range table {
		for _, in := range r.internal {
			to, ok := table[in]
			switch {
			case !ok:
				faults = append(faults, fmt.Sprintf("row %s allows %s, which has no row", name, in))
			case to.floor > r.floor:
				faults = append(faults, fmt.Sprintf("row %s (floor %d) allows %s (floor %d)", name, r.floor, in, to.floor))
			case in != "port" && strings.HasPrefix(in, "port/"):
				faults = append(faults, fmt.Sprintf("row %s names the concrete port %s", name, in))
			}
		}
		if strings.HasPrefix(name, "stack") {
			for _, in := range r.internal {
				if in == "port" || in == "ring" || in == "affinity" {
					faults = append(faults, fmt.Sprintf("row %s allows %s; the stack never knows it", name, in))
				}
			}
		}
	}
	sort.Strings(faults)
	return faults
}

// TestImportGraph holds the tree to the table of rooms.
func TestImportGraph(t *testing.T) {
	report(t, checkTable(rooms))
	report(t, checkImports(sources(t)))
}

// TestImportGraphCanFail shows that each kind of breach is found.
func TestImportGraphCanFail(t *testing.T) {
	for _, c := range []struct{ name, path, imports, want string }{
		{"higher floor", "header/a.go", module + "/pbuf", "does not allow"},
		{"stack knows a port", "stack/a.go", module + "/port", "does not allow"},
		{"stack knows a ring", "stack/tcp/a.go", module + "/ring", "does not allow"},
		{"shard names a concrete port", "shard/a.go", module + "/port/mem", "does not allow"},
		{"driver knows a driver", "port/tap/a.go", module + "/port/mem", "does not allow"},
		{"netconn knows a port", "netconn/a.go", module + "/port", "does not allow"},
		{"foreign module", "pbuf/a.go", testify + "/require", "may not use this module"},
		{"look-alike module", "affinity/a.go", xsys + "x/unix", "may not use this module"},
		{"library shipped with a test room", "cmd/x/a.go", module + "/internal/testenv", "for tests only"},
		{"import without a row", "cmd/x/a.go", module + "/secret", "not in the table"},
		{"standard library where it must not be", "pbuf/a.go", "sync/atomic", "must do without"},
		{"cgo", "shard/a.go", "C", "cgo"},
		{"package without a row", "secret/a.go", "fmt", "package secret is not in the table"},
		{"package without a row below internal", "internal/x/a.go", "fmt", "package internal/x is not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, c.path, "package x\nimport _ \""+c.imports+"\"\n")
			got := checkImports([]*source{s})
			require.Len(t, got, 1)
			require.Contains(t, got[0], c.want)
		})
	}
	require.Len(t, checkTable(map[string]room{
		"a":     {floor: 0, internal: []string{"b", "c", "port/x"}},
		"b":     {floor: 1},
		"stack": {floor: 1, internal: []string{"ring"}},
		"ring":  {floor: 0}, "port/x": {floor: 0},
	}), 4)
}

// TestImportGraphCanPass shows that what the table allows is let through.
func TestImportGraphCanPass(t *testing.T) {
	for _, c := range []struct{ path, imports string }{
		{"stack/a.go", module + "/header"},
		{"stack/sub/a.go", module + "/stack"},
		{"shard/a.go", module + "/port"},
		{"port/tap/a.go", xsys + "/unix"},
		{"cmd/shardgen/a.go", module + "/port/mem"},
		{"ring/a.go", atomics},
		{"header/a_test.go", gopacket},
		{"shard/a_test.go", module + "/internal/testenv"},
		{"stack/sim/a.go", module + "/netem"},
	} {
		s := parse(t, c.path, "package x\nimport _ \""+c.imports+"\"\n")
		require.Empty(t, checkImports([]*source{s}), c.path)
	}
}
