package script

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScriptsAreOnThePage holds docs/tcp-tests.md to what there is: each name on it is
// that of a script or test, and each script is under one of the names.
func TestScriptsAreOnThePage(t *testing.T) {
	doc, err := os.ReadFile("../../docs/tcp-tests.md")
	require.NoError(t, err)
	var scripts []string
	require.NoError(t, filepath.WalkDir("../testdata", func(p string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(p) == ".pkt" {
			scripts = append(scripts, filepath.ToSlash(p[len("../testdata/"):]))
		}
		return err
	}))
	require.Greater(t, len(scripts), 150)
	var tests []string
	for _, dir := range []string{"..", "../sim", "../../bench/lossy"} {
		files, err := filepath.Glob(dir + "/*_test.go")
		require.NoError(t, err)
		for _, f := range files {
			src, err := os.ReadFile(f)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(src, -1) {
				tests = append(tests, string(m[1]))
			}
		}
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("`((?:rfc\\d+/|Test)[^`]*)`").FindAllSubmatch(doc, -1) {
		name, list := string(m[1]), tests
		if name[0] == 'r' {
			list = scripts
		}
		n := 0
		for _, have := range list {
			if ok, err := path.Match(name, have); ok {
				require.NoError(t, err)
				listed[have] = true
				n++
			}
		}
		require.NotZero(t, n, "nothing is named %s", name)
	}
	for _, s := range scripts {
		require.True(t, listed[s], "%s is not on the page", s)
	}
}
