package shardstack_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the import path of the root package.
const module = "github.com/shardstack/shardstack"

// source is one parsed Go file. All files count, whatever their build tags
// say, so that a rule cannot be broken under a tag that the tests do not set.
type source struct {
	path string // relative to the root, with slashes
	text string
	fset *token.FileSet
	file *ast.File
}

// dir is the package folder, "." at the root.
func (s *source) dir() string { return path.Dir(s.path) }

// isTest tells files of tests from files that ship.
func (s *source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// at gives "path:line" of a position.
func (s *source) at(p token.Pos) string {
	return s.path + ":" + strconv.Itoa(s.fset.Position(p).Line)
}

// imports lists the import paths of the file with where they stand.
func (s *source) imports() map[string]token.Pos {
	m := make(map[string]token.Pos)
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			m[p] = spec.Pos()
		}
	}
	return m
}

// parse makes a source of text; tests use it for sources that live in memory.
func parse(t testing.TB, name, text string) *source {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, name, text, parser.ParseComments)
	require.NoError(t, err)
	return &source{path: name, text: text, fset: fset, file: f}
}

// skipDir says which folders hold no source of the project.
func skipDir(name string) bool {
	return name != "." && strings.HasPrefix(name, ".") && name != ".ci" ||
		name == "testdata" || name == "bin" || name == "out" || name == "vendor"
}

// nested says whether a folder is a module of its own, with its own rules.
func nested(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return dir != "." && err == nil
}

// files lists the files below the root for which keep is true.
func files(t testing.TB, keep func(p string) bool) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (skipDir(d.Name()) || nested(p)):
			return filepath.SkipDir
		case d.Type().IsRegular() && keep(filepath.ToSlash(p)):
			list = append(list, filepath.ToSlash(p))
		}
		return nil
	})
	require.NoError(t, err)
	return list
}

// sources parses every Go file of the project.
func sources(t testing.TB) []*source {
	t.Helper()
	var list []*source
	for _, p := range files(t, func(p string) bool { return path.Ext(p) == ".go" }) {
		text, err := os.ReadFile(p)
		require.NoError(t, err)
		list = append(list, parse(t, p, string(text)))
	}
	require.NotEmpty(t, list)
	return list
}

// report fails t with one line a fault.
func report(t *testing.T, faults []string) {
	t.Helper()
	for _, f := range faults {
		t.Error(f)
	}
}
