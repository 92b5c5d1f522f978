package stack

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// words counts the fields of a type and fails on one that is not a uint64.
func words(t *testing.T, typ reflect.Type, path string) int {
	t.Helper()
	switch typ.Kind() {
	case reflect.Uint64:
		return 1
	case reflect.Array:
		return typ.Len() * words(t, typ.Elem(), path+"[]")
	case reflect.Struct:
		n := 0
		for i := range typ.NumField() {
			n += words(t, typ.Field(i).Type, path+"."+typ.Field(i).Name)
		}
		return n
	}
	t.Errorf("%s is a %v", path, typ)
	return 0
}

// TestStatsAreWords: addWords and package shard treat Stats as an array of
// uint64.
func TestStatsAreWords(t *testing.T) {
	require.Equal(t, int(statsWords), words(t, reflect.TypeFor[Stats](), "Stats"))
}

func TestStats_Add(t *testing.T) {
	var a, b Stats
	b.IP.InReceives, b.Drops[DropHook], b.TCP.CurrPCBs = 1, 2, 3
	b.Drops[DropNoBuf] = 10
	a.IP.InReceives = 5
	a.Add(&b)
	a.Add(&b)
	require.Equal(t, uint64(7), a.IP.InReceives)
	require.Equal(t, uint64(24), a.Dropped())
	require.Equal(t, uint64(6), a.TCP.CurrPCBs)
}

func TestDropReason_String(t *testing.T) {
	seen := map[string]bool{}
	for r := range NumDropReasons {
		require.NotEmpty(t, r.String(), "reason %d", r)
		require.False(t, seen[r.String()], r.String())
		seen[r.String()] = true
	}
	require.Equal(t, "ip_too_long", DropIPTooLong.String())
	require.Equal(t, "hook", DropHook.String())
	require.Equal(t, "unknown", NumDropReasons.String())
}
