package shardstack_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// singleThreaded lists the packages that have one thread and take time as an
// argument, folders below included.
var singleThreaded = []string{"stack", "netem", "pcapng"}

// forbidden lists what a single-threaded package must not import, folders
// below included: threads, locks, clocks, the operating system, and
// randomness that is not seeded.
var forbidden = []string{
	"C", "context", "crypto/rand", "log", "math/rand", "net", "os", "plugin",
	"runtime", "sync", "syscall", "testing", "go.uber.org/atomic", "golang.org/x/sync",
	"golang.org/x/sys", "github.com/vishvananda",
}

// spared lists the packages below a forbidden one that are harmless.
var spared = []string{"net/netip", "math/rand/v2"}

// selectors lists, for packages that are useful and dangerous, the only names
// that may be used: durations but no clock, seeded generators but not the
// process-wide one.
var selectors = map[string][]string{
	"time": {
		"Duration", "Nanosecond", "Microsecond", "Millisecond", "Second", "Minute", "Hour",
	},
	"math/rand/v2": {"ChaCha8", "New", "NewChaCha8", "NewPCG", "PCG", "Rand", "Source"},
}

// breaches gives one line for everything in s that a single-threaded package
// must not have.
func breaches(s *source) []string {
	var faults []string
	add := func(p token.Pos, format string, args ...any) {
		faults = append(faults, s.at(p)+": "+fmt.Sprintf(format, args...))
	}
	careful := make(map[string]string) // local name → import path in selectors
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value)
		if anyBelow(p, forbidden) && !anyBelow(p, spared) {
			add(spec.Pos(), "import of %s", p)
		}
		if spec.Name != nil && spec.Name.Name == "." {
			add(spec.Pos(), "dot import of %s hides what is used", p)
		}
		if selectors[p] != nil {
			careful[localName(spec, p)] = p
		}
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n.Pos(), "go statement")
		case *ast.ChanType:
			add(n.Pos(), "channel type")
		case *ast.SendStmt:
			add(n.Pos(), "channel send")
		case *ast.SelectStmt:
			add(n.Pos(), "select statement")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				add(n.Pos(), "channel receive")
			}
		case *ast.SelectorExpr:
			if why := badSelector(careful, n); why != "" {
				add(n.Pos(), "%s", why)
			}
		case *ast.Comment:
			if strings.HasPrefix(n.Text, "//go:linkname") {
				add(n.Pos(), "linkname reaches past the imports")
			}
		}
		return true
	})
	return faults
}

// localName is the name under which an import is used in its file.
func localName(spec *ast.ImportSpec, p string) string {
	switch {
	case spec.Name != nil:
		return spec.Name.Name
	case p == "math/rand/v2":
		return "rand"
	}
	return path.Base(p)
}

// badSelector names a use of an import that is not in its list. A local
// variable that shadows the import (the parser resolved it) is something else.
func badSelector(careful map[string]string, n *ast.SelectorExpr) string {
	id, ok := n.X.(*ast.Ident)
	if !ok || id.Obj != nil {
		return ""
	}
	p, ok := careful[id.Name]
	if !ok {
		return ""
	}
	for _, name := range selectors[p] {
		if name == n.Sel.Name {
			return ""
		}
	}
	return "use of " + p + "." + n.Sel.Name
}

// checkSingleThread looks at the shipped files of single-threaded packages.
func checkSingleThread(list []*source) []string {
	var faults []string
	for _, s := range list {
		if !s.isTest() && anyBelow(s.dir(), singleThreaded) {
			faults = append(faults, breaches(s)...)
		}
	}
	sort.Strings(faults)
	return faults
}

// TestStackIsSingleThreaded holds decisions 1 and 2 of ARCHITECTURE.md.
func TestStackIsSingleThreaded(t *testing.T) {
	report(t, checkSingleThread(sources(t)))
	// Prefetching is the one thing that Go has no words for.
	known := map[string]bool{"stack/prefetch_amd64.s": true, "stack/prefetch_arm64.s": true}
	asm := files(t, func(p string) bool {
		return anyBelow(p, singleThreaded) && !known[p] && (path.Ext(p) == ".s" || path.Ext(p) == ".c")
	})
	require.Empty(t, asm, "assembly could do anything")
}

// TestSingleThreadCanFail shows that each breach is found, and only once.
func TestSingleThreadCanFail(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"go", `func f() { go f() }`, "go statement"},
		{"go func", `func f() { go func() {}() }`, "go statement"},
		{"channel field", `type t struct { c chan int }`, "channel type"},
		{"channel made", `func f() { _ = make(chan<- int) }`, "channel type"},
		{"send", `func f() { c <- 1 }`, "channel send"},
		{"receive", `func f() { <-c }`, "channel receive"},
		{"select", `func f() { select {} }`, "select statement"},
		{"sync", `import "sync"`, "import of sync"},
		{"atomic", `import "sync/atomic"`, "import of sync/atomic"},
		{"uber atomic", `import "go.uber.org/atomic"`, "import of go.uber.org/atomic"},
		{"os", `import "os"`, "import of os"},
		{"os below", `import "os/signal"`, "import of os/signal"},
		{"syscall", `import "syscall"`, "import of syscall"},
		{"unix", `import "golang.org/x/sys/unix"`, "import of golang.org/x/sys/unix"},
		{"net", `import "net"`, "import of net"},
		{"net below", `import "net/http"`, "import of net/http"},
		{"runtime", `import "runtime"`, "import of runtime"},
		{"named import", `import s "sync"`, "import of sync"},
		{"dot import", `import . "strings"`, "dot import"},
		{"clock", `import "time"` + "\n" + `var t = time.Now()`, "use of time.Now"},
		{"clock renamed", `import x "time"` + "\n" + `var t = x.Since`, "use of time.Since"},
		{"sleep", `import "time"` + "\n" + `func f() { time.Sleep(1) }`, "use of time.Sleep"},
		{"after", `import "time"` + "\n" + `var c = time.After(1)`, "use of time.After"},
		{"timer", `import "time"` + "\n" + `var c *time.Timer`, "use of time.Timer"},
		{"unseeded", `import "math/rand/v2"` + "\n" + `var r = rand.Uint32()`, "use of math/rand/v2.Uint32"},
		{"linkname", "//go:linkname nanotime runtime.nanotime\nfunc nanotime() int64", "linkname"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := parse(t, "stack/bad.go", "package stack\n"+c.text+"\n")
			got := checkSingleThread([]*source{s})
			require.Len(t, got, 1)
			require.Contains(t, got[0], c.want)

			deep := parse(t, "stack/tcp/bad.go", "package tcp\n"+c.text+"\n")
			require.Len(t, checkSingleThread([]*source{deep}), 1, "folders below count")
			other := parse(t, "shard/good.go", "package shard\n"+c.text+"\n")
			require.Empty(t, checkSingleThread([]*source{other}), "a shard may")
		})
	}
}

// TestSingleThreadCanPass shows that durations, addresses and names that only
// look dangerous are let through.
func TestSingleThreadCanPass(t *testing.T) {
	s := parse(t, "stack/good.go", `package stack
import (
	"math/rand/v2"
	"net/netip"
	"time"
)
type clock struct{ Now int64 }
var d time.Duration = 5 * time.Second
var r = rand.New(rand.NewPCG(1, 2))
var a netip.Addr
func f(time clock) int64 { return time.Now }
`)
	require.Empty(t, checkSingleThread([]*source{s}))
}
