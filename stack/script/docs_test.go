package script

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the lists in docs/pktscript.md anew")

// names lists the keys of a table in the form of the docs.
func names[V any](table map[string]V, prefix string) string {
	var list []string
	for k := range table {
		list = append(list, "`"+prefix+k+"`")
	}
	slices.Sort(list)
	var b strings.Builder
	n := 0
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
			if n++; n+len(s)+2 > 84 {
				b.WriteByte('\n')
				n = 0
			} else {
				b.WriteByte(' ')
				n++
			}
		}
		b.WriteString(s)
		n += len(s)
	}
	return b.String() + ".\n"
}

// between is the text behind the first line that starts with a mark, up to the
// next blank line.
func between(text, mark string) (from, to int, err error) {
	i := strings.Index(text, mark)
	if i < 0 {
		return 0, 0, fmt.Errorf("docs have no %q", mark)
	}
	from = i + len(mark)
	n := strings.Index(text[from:], "\n\n")
	if n < 0 {
		return 0, 0, fmt.Errorf("no blank line behind %q", mark)
	}
	return from, from + n + 1, nil
}

// TestScriptDocs holds docs/pktscript.md to what there is: names of TCP_INFO,
// sysctls, options and calls.
func TestScriptDocs(t *testing.T) {
	const file = "../../docs/pktscript.md"
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	text := string(raw)
	linux := map[string]bool{}
	for k := range sysctls {
		linux[k] = true
	}
	for k := range liveSysctls {
		linux[k] = true
	}
	for _, list := range []struct{ mark, want string }{
		{"in Linux's units (segments, microseconds):\n\n", names(infoFields, "")},
		{"Linux's sysctls:\n\n", names(linux, "")},
		{"Of our own, as `shardstack.NAME`:\n\n", names(knobs, "")},
	} {
		from, to, err := between(text, list.mark)
		require.NoError(t, err)
		if *update {
			text = text[:from] + list.want + text[to:]
			continue
		}
		require.Equal(t, list.want, text[from:to], "go test ./stack/script -run Docs -update")
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	for name := range sockOptNames {
		require.Contains(t, text, "`"+name+"`")
	}
	for name := range callTable {
		require.Contains(t, text, "`"+name+"`")
	}
	for _, k := range icmpTypes {
		if k.name != "parameterprob" {
			require.Contains(t, text, "`"+k.name+"`")
		}
	}
}
