package shardstack_test

import (
	"fmt"
	"go/ast"
	"os"
	"path"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The limits of the style (CONTRIBUTING.md). The design asks for files of 80
// to 400 lines; 600 is where the test stops it.
const (
	maxFileLines = 600
	maxFuncLines = 80
	maxParams    = 6
)

// longFiles lists the files that may be longer, each with its reason.
var longFiles = map[string]string{}

// unsafeFile matches the names of files that may import unsafe.
var unsafeFile = regexp.MustCompile(`_unsafe(_test|_linux|_amd64|_arm64)*\.go$`)

// checkUnsafe finds imports of unsafe (and of C, which is unsafe too) outside
// of *_unsafe.go.
func checkUnsafe(list []*source) []string {
	var faults []string
	for _, s := range list {
		for p, pos := range s.imports() {
			if (p == "unsafe" || p == "C") && !unsafeFile.MatchString(s.path) {
				faults = append(faults, fmt.Sprintf("%s: %s outside of a file named *_unsafe.go", s.at(pos), p))
			}
		}
	}
	sort.Strings(faults)
	return faults
}

// checkSizes finds files, functions and parameter lists that are too long.
// Tests and assembly stubs (no body) are spared the limits on functions.
func checkSizes(list []*source) []string {
	var faults []string
	for _, s := range list {
		if s.isTest() {
			continue
		}
		if n := strings.Count(s.text, "\n"); n > maxFileLines && longFiles[s.path] == "" {
			faults = append(faults, fmt.Sprintf("%s: %d lines, over %d", s.path, n, maxFileLines))
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			first, last := s.fset.Position(f.Pos()).Line, s.fset.Position(f.End()).Line
			if n := last - first + 1; n > maxFuncLines {
				faults = append(faults, fmt.Sprintf("%s: func %s has %d lines, over %d", s.at(f.Pos()), f.Name.Name, n, maxFuncLines))
			}
			if n := f.Type.Params.NumFields(); n > maxParams {
				faults = append(faults, fmt.Sprintf("%s: func %s has %d parameters, over %d", s.at(f.Pos()), f.Name.Name, n, maxParams))
			}
		}
	}
	return faults
}

// unfinished matches the words that mark work left undone. They are put
// together here so that this file does not match itself.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|X` + `XX|HA` + `CK)\b`)

// checkWords finds such words in the text of one file.
func checkWords(name, text string) []string {
	var faults []string
	for i, line := range strings.Split(text, "\n") {
		if w := unfinished.FindString(line); w != "" {
			faults = append(faults, fmt.Sprintf("%s:%d: %s: finish it or open an issue", name, i+1, w))
		}
	}
	return faults
}

// isText picks the files that people write.
func isText(p string) bool {
	switch path.Ext(p) {
	case ".go", ".s", ".c", ".h", ".sh", ".md", ".yml", ".yaml", ".conf":
		return true
	}
	return path.Base(p) == "Makefile" || strings.HasPrefix(p, ".ci/")
}

func TestUnsafeOnlyInUnsafeFiles(t *testing.T) { report(t, checkUnsafe(sources(t))) }

func TestSizes(t *testing.T) {
	report(t, checkSizes(sources(t)))
	for p, why := range longFiles {
		require.FileExists(t, p, why)
	}
}

func TestNothingMarkedUnfinished(t *testing.T) {
	for _, p := range files(t, isText) {
		text, err := os.ReadFile(p)
		require.NoError(t, err)
		report(t, checkWords(p, string(text)))
	}
}

func TestStyleCanFail(t *testing.T) {
	bad := parse(t, "pbuf/pool.go", "package pbuf\nimport _ \"unsafe\"\n")
	require.Len(t, checkUnsafe([]*source{bad}), 1)
	badTest := parse(t, "pbuf/pool_test.go", "package pbuf\nimport _ \"unsafe\"\n")
	require.Len(t, checkUnsafe([]*source{badTest}), 1)
	cgo := parse(t, "port/dpdk/eal.go", "package dpdk\nimport \"C\"\n")
	require.Len(t, checkUnsafe([]*source{cgo}), 1)
	for _, name := range []string{"pool_unsafe.go", "pool_unsafe_test.go", "pool_unsafe_amd64.go"} {
		good := parse(t, "pbuf/"+name, "package pbuf\nimport _ \"unsafe\"\n")
		require.Empty(t, checkUnsafe([]*source{good}))
	}

	long := "package x\n" + strings.Repeat("// x\n", maxFileLines)
	require.Len(t, checkSizes([]*source{parse(t, "x/a.go", long)}), 1)
	require.Empty(t, checkSizes([]*source{parse(t, "x/a_test.go", long)}))
	body := "package x\nfunc f() {\n" + strings.Repeat("\n", maxFuncLines-1) + "}\n"
	require.Len(t, checkSizes([]*source{parse(t, "x/a.go", body)}), 1)
	wide := "package x\nfunc f(a, b, c, d, e, f, g int) {}\nfunc stub(a, b, c, d, e, f, g int)\n"
	require.Len(t, checkSizes([]*source{parse(t, "x/a.go", wide)}), 1)
	fits := "package x\nfunc f(a, b, c, d, e, f int) {" + strings.Repeat("\n", maxFuncLines-1) + "}\n"
	require.Empty(t, checkSizes([]*source{parse(t, "x/a.go", fits)}))

	require.Len(t, checkWords("a.go", "// TO"+"DO: later\nx\n# FIX"+"ME"), 2)
	require.Empty(t, checkWords("a.go", "mastodon, fixmes, hacksaw"))
	require.True(t, isText(".ci/run"))
	require.False(t, isText("bench/out.json"))
}
