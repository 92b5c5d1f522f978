package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const passing = `
 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win N <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+0 %{ print("hello", tcpi_state) }%
`

// TestScriptCommand runs files and looks at what is printed and at the exit code.
func TestScriptCommand(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"pass.pkt":        passing,
		"sub/wrong.pkt":   passing + "+1 > . 1:1(0) ack 1\n",
		"differ.pkt":      passing + "+1 > S. 0:0(0) ack 2 <...>\n",
		"syntax.pkt":      "0 < Q 0:0(0)\n",
		"unsupported.pkt": "0 epoll_create(1) = 3\n",
	} {
		p := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"passes", []string{"-D", "N=100", at("pass.pkt")}, exitPass, []string{"ok    " + at("pass.pkt") + " (0s of simulated time"}},
		{"verbose", []string{"-v", "-D", "N=100", at("pass.pkt")}, exitPass, []string{"hello 3", "> 8080 > 40001 S. ", "< 40001 > 8080 S 0:0(0) win 100 <mss 1000>"}},
		{"quiet", []string{"-q", "-D", "N=100", at("pass.pkt")}, exitPass, nil},
		{"differs", []string{"-D", "N=100", at("differ.pkt")}, exitMismatch, []string{
			"FAIL  " + at("differ.pkt") + ":8: ack\n- 1.000000 > S. 0:0(0) ack 2 <...>\n+ 1.000", " > S. 0:0(0) ack 1 win 65535 <mss 1460>"}},
		{"another packet", []string{"-D", "N=100", at("sub")}, exitMismatch, []string{at("sub/wrong.pkt") + ":8: flags, seq"}},
		{"other family", []string{"--ip-version", "ipv6", "-D", "N=100", at("pass.pkt")}, exitMismatch, []string{"option mss", "<mss 1440>"}},
		{"setting", []string{"-o", "mtu=1000", "-D", "N=100", at("pass.pkt")}, exitMismatch, []string{"<mss 960>"}},
		{"strict", []string{"--strict", "-D", "N=100", at("pass.pkt")}, exitPass, nil},
		{"syntax", []string{at("syntax.pkt")}, exitScript, []string{"ERROR " + at("syntax.pkt") + ":1: TCP flags"}},
		{"undefined", []string{at("pass.pkt")}, exitScript, []string{":5: unexpected \"N\": want win"}},
		{"unsupported", []string{at("unsupported.pkt")}, exitScript, []string{"SKIP  " + at("unsupported.pkt") + ":1: not supported: the call epoll_create"}},
		{"folder", []string{"-D", "N=100", dir}, exitScript, []string{"1 of 5 scripts passed"}},
		{"no such file", []string{at("none.pkt")}, exitScript, nil},
		{"no file", nil, exitScript, nil},
		{"bad flag", []string{"--nonsense"}, exitScript, nil},
		{"help", []string{"--help"}, exitPass, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			require.Equal(t, c.code, run(c.args, &out, &errs), "%s%s", out.String(), errs.String())
			for _, w := range c.want {
				require.Contains(t, out.String(), w)
			}
			if c.want == nil && c.name == "quiet" {
				require.Empty(t, out.String())
			}
		})
	}
}
