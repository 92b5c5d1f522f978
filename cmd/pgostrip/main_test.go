package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

func appendVarint(b []byte, num, v uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, num<<3|wireVarint), v)
}

// testProfile is a profile with one function, of a file of that name.
func testProfile(file string) []byte {
	var b []byte
	for _, s := range []string{"", "cpu", "/home/x/bin/shardgen", "main.main", file, "recorded at home"} {
		b = appendBytes(b, profileStrings, []byte(s))
	}
	b = appendBytes(b, 3, appendVarint(nil, 5, 2)) // a mapping, its file name
	b = appendBytes(b, profileFunction, appendVarint(appendVarint(nil, 2, 3), functionFilename, 4))
	b = appendVarint(b, profileTime, 1234567)
	b = appendVarint(b, profileDuration, 99)
	b = appendVarint(b, profileComment, 5)
	return appendVarint(b, 12, 10_000_000) // period
}

// stringsOf is the string table of a profile.
func stringsOf(t *testing.T, b []byte) (list []string) {
	t.Helper()
	require.NoError(t, fields(b, func(f field) error {
		if f.num == profileStrings {
			list = append(list, string(f.bytes))
		}
		return nil
	}))
	return list
}

func unzip(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	require.NoError(t, err)
	b, err = io.ReadAll(z)
	require.NoError(t, err)
	return b
}

func TestStripTakesOutPathsAndTimes(t *testing.T) {
	var once, twice bytes.Buffer
	require.NoError(t, strip(bytes.NewReader(testProfile("main.go")), &once))
	got := unzip(t, once.Bytes())
	require.Equal(t, []string{"", "cpu", "", "main.main", "main.go", "recorded at home"}, stringsOf(t, got), "numbers stay")
	require.NoError(t, fields(got, func(f field) error {
		require.NotContains(t, []uint64{profileTime, profileDuration, profileComment}, f.num)
		return nil
	}))
	require.Contains(t, string(got), string(appendVarint(nil, 12, 10_000_000)))
	require.NoError(t, strip(bytes.NewReader(once.Bytes()), &twice), "gzipped too")
	require.Equal(t, once.Bytes(), twice.Bytes())
}

func TestStripRefuses(t *testing.T) {
	var z bytes.Buffer
	require.ErrorContains(t, strip(bytes.NewReader(testProfile("/home/x/main.go")), &z), "-trimpath")
	whole := testProfile("main.go")
	for _, b := range [][]byte{nil, {0xff}, {0x0b}, []byte("mode: set\n"), whole[:len(whole)-1], {0x1f, 0x8b, 0}, {0x32, 0x05, 'a'}} {
		require.Error(t, strip(bytes.NewReader(b), io.Discard), "%q", b)
	}
	require.True(t, absolute(`C:\go`) && absolute(`\\host\x`) && absolute("/x") && !absolute("a/b.go") && !absolute("[vdso]"))
}

func FuzzStripped(f *testing.F) {
	for _, s := range []string{"main.go", "/x/main.go"} {
		f.Add(testProfile(s))
	}
	f.Add([]byte{0x32, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := stripped(b)
		if err != nil {
			return
		}
		for _, s := range stringsOf(t, out) {
			require.False(t, absolute(s), s)
		}
		again, err := stripped(out)
		require.NoError(t, err)
		require.Equal(t, out, again)
	})
}

// TestCommittedProfiles: they name no path of a machine, and the compiler's own
// reader takes them.
func TestCommittedProfiles(t *testing.T) {
	for _, name := range []string{"../shardgen/default.pgo", "../../bench/peers/default.pgo"} {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Less(t, len(b), 300<<10, name)
		text := unzip(t, b)
		require.Contains(t, string(text), "shardstack/stack.", name)
		for _, s := range stringsOf(t, text) {
			require.False(t, absolute(s), "%s: %s", name, s)
		}
		out := filepath.Join(t.TempDir(), "edges")
		msg, err := exec.Command(testenv.Tool(t, "go"), "tool", "preprofile", "-i", name, "-o", out).CombinedOutput()
		require.NoError(t, err, string(msg))
		edges, err := os.ReadFile(out)
		require.NoError(t, err)
		require.Greater(t, strings.Count(string(edges), "shardstack/stack."), 100, name)
	}
}
