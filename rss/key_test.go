package rss

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

func TestNewKeyLengths(t *testing.T) {
	for n := range 60 {
		b := bytes.Repeat([]byte{0xa5}, n)
		k, err := NewKey(b)
		if n < 40 || n > 52 {
			require.ErrorIs(t, err, ErrKey, "%d bytes", n)
			require.True(t, k.IsZero())
			continue
		}
		require.NoError(t, err, "%d bytes", n)
		require.Equal(t, n, k.Len())
		require.Equal(t, b, k.Bytes())
		require.False(t, k.IsZero())
	}
}

func TestKeyIsACopy(t *testing.T) {
	b := DefaultKey.Bytes()
	k, err := NewKey(b)
	require.NoError(t, err)
	b[0] ^= 0xff
	k.Bytes()[1] ^= 0xff
	require.Equal(t, DefaultKey, k)
}

func TestParseKey(t *testing.T) {
	s := DefaultKey.String()
	require.True(t, strings.HasPrefix(s, "6d:5a:56:da:"))
	for _, in := range []string{s, strings.ToUpper(s), strings.ReplaceAll(s, ":", "")} {
		k, err := ParseKey(in)
		require.NoError(t, err)
		require.Equal(t, DefaultKey, k)
	}
	for _, in := range []string{"", "6d:5a", s + ":0", s + ":zz", strings.Repeat("00:", 53)} {
		_, err := ParseKey(in)
		require.ErrorIs(t, err, ErrKey, "%q", in)
	}
	require.Empty(t, Key{}.String())
}

func TestRandomKey(t *testing.T) {
	seen := map[Key]bool{}
	for range 20 {
		k := RandomKey()
		require.Equal(t, MinKeyLen, k.Len())
		require.False(t, seen[k])
		seen[k] = true

		h := NewHasher(k)
		v4, v6 := map[uint32]bool{}, map[uint32]bool{}
		for p := range uint16(1 << 12) {
			v4[h.Hash4(0, 0, 0, p)%MaxRETA] = true
			v6[h.Hash6(header.Addr{}, header.Addr{}, 0, p)%MaxRETA] = true
		}
		require.Len(t, v4, MaxRETA)
		require.Len(t, v6, MaxRETA)
	}
}
