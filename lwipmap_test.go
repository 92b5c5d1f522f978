package shardstack_test

import (
	"fmt"
	"go/ast"
	"os"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lwipMap is the document under test.
const lwipMap = "docs/lwip-map.md"

// lwipFiles are lwIP's compile units that the map must cover.
var lwipFiles = []string{
	"src/api/api_lib.c", "src/api/api_msg.c", "src/api/err.c", "src/api/if_api.c",
	"src/api/netbuf.c", "src/api/netdb.c", "src/api/netifapi.c", "src/api/sockets.c",
	"src/api/tcpip.c", "src/core/altcp.c", "src/core/altcp_alloc.c",
	"src/core/altcp_tcp.c", "src/core/def.c", "src/core/dns.c",
	"src/core/inet_chksum.c", "src/core/init.c", "src/core/ip.c",
	"src/core/ipv4/acd.c", "src/core/ipv4/autoip.c", "src/core/ipv4/dhcp.c",
	"src/core/ipv4/etharp.c", "src/core/ipv4/icmp.c", "src/core/ipv4/igmp.c",
	"src/core/ipv4/ip4.c", "src/core/ipv4/ip4_addr.c", "src/core/ipv4/ip4_frag.c",
	"src/core/ipv6/dhcp6.c", "src/core/ipv6/ethip6.c", "src/core/ipv6/icmp6.c",
	"src/core/ipv6/inet6.c", "src/core/ipv6/ip6.c", "src/core/ipv6/ip6_addr.c",
	"src/core/ipv6/ip6_frag.c", "src/core/ipv6/mld6.c", "src/core/ipv6/nd6.c",
	"src/core/mem.c", "src/core/memp.c", "src/core/netif.c", "src/core/pbuf.c",
	"src/core/raw.c", "src/core/stats.c", "src/core/sys.c", "src/core/tcp.c",
	"src/core/tcp_in.c", "src/core/tcp_out.c", "src/core/timeouts.c",
	"src/core/udp.c", "src/netif/ethernet.c",
}

// mapRow is one line of a table of the map: a name of lwIP's, and what does
// its work here.
type mapRow struct {
	line       int
	lwip, here string
}

var (
	quoted  = regexp.MustCompile("`([^`]+)`")
	goRef   = regexp.MustCompile(`^([a-z0-9_/]+\.(?:go|s))(?::([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)?))?$`)
	nowhere = regexp.MustCompile(`^(later|none): \S`)
)

// mapRows reads the tables: rows whose first cell starts with a back quote.
func mapRows(text string) []mapRow {
	var rows []mapRow
	for i, line := range strings.Split(text, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		rows = append(rows, mapRow{i + 1, strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])})
	}
	return rows
}

// declared collects what a file declares: F, T, T.Method, T.Field, consts and
// variables.
func declared(s *source) map[string]bool {
	names := make(map[string]bool)
	for _, d := range s.file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil && len(d.Recv.List) == 1 {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			names[name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				declaredSpec(names, spec)
			}
		}
	}
	return names
}

func declaredSpec(names map[string]bool, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			names[n.Name] = true
		}
	case *ast.TypeSpec:
		names[spec.Name.Name] = true
		var members *ast.FieldList
		switch typ := spec.Type.(type) {
		case *ast.StructType:
			members = typ.Fields
		case *ast.InterfaceType:
			members = typ.Methods
		default:
			return
		}
		for _, f := range members.List {
			for _, n := range f.Names {
				names[spec.Name.Name+"."+n.Name] = true
			}
		}
	}
}

// receiver is the type name of a method's receiver: T of T, *T and T[P].
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.IndexListExpr:
		return receiver(e.X)
	}
	return "?"
}

// checkMap gives one line for every row that names what is not there, and for
// every compile unit of lwIP's without a row.
func checkMap(rows []mapRow, list []*source, units []string) []string {
	decls := make(map[string]map[string]bool)
	for _, s := range list {
		decls[s.path] = declared(s)
	}
	var faults []string
	seen := make(map[string]bool)
	for _, r := range rows {
		at := fmt.Sprintf("%s:%d: %s", lwipMap, r.line, r.lwip)
		if seen[r.lwip] {
			faults = append(faults, at+": listed twice")
		}
		seen[r.lwip] = true
		refs := quoted.FindAllStringSubmatch(r.here, -1)
		if len(refs) == 0 && !nowhere.MatchString(r.here) {
			faults = append(faults, at+": names no file; say `later: what` or `none: why`")
		}
		for _, ref := range refs {
			m := goRef.FindStringSubmatch(ref[1])
			switch {
			case m == nil:
				faults = append(faults, at+": "+ref[1]+" is not of the form dir/file.go:Name")
			case decls[m[1]] == nil:
				faults = append(faults, at+": no file "+m[1])
			case m[2] != "" && !decls[m[1]][m[2]]:
				faults = append(faults, at+": "+m[1]+" declares no "+m[2])
			}
		}
	}
	for _, u := range units {
		if !seen["`"+u+"`"] {
			faults = append(faults, lwipMap+": no row for "+u)
		}
	}
	sort.Strings(faults)
	return faults
}

// TestLwipMap checks that every file and identifier that the map names exists,
// and that no compile unit of lwIP's is left out.
func TestLwipMap(t *testing.T) {
	text, err := os.ReadFile(lwipMap)
	require.NoError(t, err)
	rows := mapRows(string(text))
	require.Greater(t, len(rows), len(lwipFiles))
	report(t, checkMap(rows, sources(t), lwipFiles))
}

func TestLwipMapCanFail(t *testing.T) {
	list := []*source{parse(t, "stack/a.go", `package stack
type T[P any] struct{ Field int; in, out func() }
type I interface{ Do() }
const C = 1
var V, W int
func F() {}
func (t *T[P]) M() {}
`)}
	check := func(here string) []string {
		return checkMap(mapRows("| lwIP | here |\n| --- | --- |\n| `x.c` | "+here+" |\n"), list, nil)
	}
	for _, good := range []string{
		"`stack/a.go`", "`stack/a.go:T`", "`stack/a.go:T.Field`", "`stack/a.go:T.M`",
		"`stack/a.go:T.out`, `stack/a.go:W`", "`stack/a.go:I.Do`", "`stack/a.go:C` and `stack/a.go:F`",
		"later: IPv6", "none: no threads here",
	} {
		require.Empty(t, check(good), good)
	}
	for bad, want := range map[string]string{
		"`stack/b.go`":                 "no file",
		"`stack/a.go:G`":               "declares no G",
		"`stack/a.go:M`":               "declares no M",
		"`stack/a.go:F`, `stack/b.go`": "no file",
		"`somewhere`":                  "not of the form",
		"":                             "names no file",
		"later:":                       "names no file",
		"perhaps":                      "names no file",
	} {
		got := check(bad)
		require.Len(t, got, 1, bad)
		require.Contains(t, got[0], want)
	}
	rows := mapRows("| `x.c` | none: x | \n| `x.c` | none: x |\n")
	require.Len(t, checkMap(rows, list, []string{"x.c", "y.c"}), 2, "twice, and y.c left out")
}
