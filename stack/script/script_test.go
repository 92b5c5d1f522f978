package script

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScripts runs every script under stack/testdata, strictly, and twice: the
// same script gives the same packets.
func TestScripts(t *testing.T) {
	n := 0
	err := filepath.WalkDir("../testdata", func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".pkt" {
			return err
		}
		n++
		t.Run(filepath.ToSlash(p[len("../testdata/"):]), func(t *testing.T) {
			src, err := os.ReadFile(p)
			require.NoError(t, err)
			s, err := Parse(p, src)
			require.NoError(t, err)
			res, err := s.Run(Options{Strict: true})
			report(t, err)
			require.Empty(t, res.Warnings, "our own scripts set what there is")
			again, err := s.Run(Options{Strict: true})
			report(t, err)
			require.Equal(t, res.Trace, again.Trace)
			if anyFamily(s, src) {
				_, err = s.Run(Options{Strict: true, IPVersion: "ipv6"})
				report(t, err)
			}
		})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, n, 0)
}

// report fails a test with the difference that a script found.
func report(t *testing.T, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		require.NoError(t, err)
		return
	}
	for _, l := range e.Trace {
		t.Log(l)
	}
	t.Fatal("\n" + e.Diff())
}

// runText runs a script that is given as text.
func runText(t *testing.T, text string, opt Options) (*Result, error) {
	t.Helper()
	s, err := Parse(t.Name(), []byte(text))
	require.NoError(t, err)
	return s.Run(opt)
}

// anyFamily tells whether a script says nothing that is of one IP version only:
// sizes of packets, addresses, ICMP.
func anyFamily(s *Script, src []byte) bool {
	for _, o := range s.Options {
		if o.Name == "ip_version" || o.Name == "mtu" {
			return false
		}
	}
	for _, word := range []string{"1460", "1448", "icmp", "IP_", "inet_addr"} {
		if bytes.Contains(src, []byte(word)) {
			return false
		}
	}
	return true
}
