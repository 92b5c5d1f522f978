package stack

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// ids returns every connection number that the table holds for hash.
func (t *flowTable) ids(hash uint32) map[uint32]bool {
	out := map[uint32]bool{}
	for _, tab := range []*flowSlots{&t.cur, &t.old} {
		if tab.slots == nil {
			continue
		}
		for i := tab.home(hash); tab.slots[i].id != 0; i = tab.next(i) {
			if s := tab.slots[i]; s.hash == hash && s.id != tombstone {
				out[s.id-1] = true
			}
		}
	}
	return out
}

// TestFlowTableModel compares the table with a map through growth, while
// entries come and go, with hashes that differ only in a few bits as those of
// one shard's flows do.
func TestFlowTableModel(t *testing.T) {
	for i, mask := range []uint32{0xffffffff, 0xffffff80, 0x0000ff00, 0, 0xffffffff, 7, 0} {
		r := rand.New(rand.NewPCG(1, uint64(mask)))
		var tab flowTable
		tab.init(i > 3)
		model := map[uint32]uint32{} // id → hash
		next := uint32(0)
		for range 20000 {
			if len(model) == 0 || r.IntN(5) < 3 {
				hash := r.Uint32() & mask
				if mask < slotsPerLine && len(model) > 300 {
					continue // all in one chain: keep it short
				}
				tab.insert(hash, next)
				model[next] = hash
				next++
			} else {
				for id, hash := range model {
					tab.remove(hash, id)
					delete(model, id)
					break
				}
			}
			require.Equal(t, len(model), tab.n)
		}
		for id, hash := range model {
			require.True(t, tab.ids(hash)[id], "id %d hash %#x is lost", id, hash)
		}
		tab.remove(12345, 1<<20) // not there: nothing happens
		for id, hash := range model {
			tab.remove(hash, id)
		}
		require.Zero(t, tab.n)
		for _, s := range tab.cur.slots {
			require.Zero(t, s.id)
		}
	}
}

// TestFlowTableSpreadsOneShardsHashes: all hashes of a shard agree in the bits
// that choose the RETA entry; probe sequences must stay short all the same.
func TestFlowTableSpreadsOneShardsHashes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var tab flowTable
	tab.init(false)
	const n = 100000
	for id := range uint32(n) {
		tab.insert(r.Uint32()&^127|5, id)
	}
	tab.move(1 << 30)
	longest, run := 0, 0
	for _, s := range tab.cur.slots {
		run++
		if s.id == 0 {
			longest, run = max(longest, run), 0
		}
	}
	require.Less(t, longest, 200, "the longest run of occupied slots")
}

// TestFlowTableLooksAtAllSlots: whatever the table is for, going on from any slot
// leads to each of the others once, and behind counts the steps.
func TestFlowTableLooksAtAllSlots(t *testing.T) {
	for _, near := range []bool{false, true} {
		f := makeFlowSlots(64, near)
		for start := range uint32(64) {
			seen := map[uint32]bool{}
			i := start
			for n := range uint32(64) {
				require.False(t, seen[i])
				require.Equal(t, n, f.behind(start, i))
				seen[i] = true
				i = f.next(i)
			}
			require.Equal(t, start, i)
		}
	}
}
