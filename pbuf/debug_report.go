//go:build pbufdebug

package pbuf

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// reportStacks limits how many different stacks a report shows.
const reportStacks = 32

// String lists the functions, the innermost first.
func (s stack) String() string {
	var b strings.Builder
	n := slices.Index(s[:], 0)
	if n < 0 {
		n = len(s)
	}
	frames := runtime.CallersFrames(s[:n])
	for more := n > 0; more; {
		var f runtime.Frame
		f, more = frames.Next()
		fmt.Fprintf(&b, "\t%s\n\t\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String()
}

// debugReport lists where the buffers that are out were allocated, one stack
// each, that of the oldest buffer first.
func (pl *Pool) debugReport() string {
	type leak struct {
		n     int
		seq   uint64
		class Class
		at    uint8
	}
	debugMu.Lock()
	defer debugMu.Unlock()
	leaks := map[stack]leak{}
	for a, r := range records {
		p := at(a)
		if !r.live || p.home != pl.id {
			continue
		}
		l, ok := leaks[r.allocated]
		if !ok || r.seq < l.seq {
			l.seq, l.class, l.at = r.seq, p.Class(), p.at
		}
		l.n++
		leaks[r.allocated] = l
	}
	stacks := make([]stack, 0, len(leaks))
	for s := range leaks {
		stacks = append(stacks, s)
	}
	slices.SortFunc(stacks, func(a, b stack) int { return cmp.Compare(leaks[a].seq, leaks[b].seq) })
	var b strings.Builder
	for i, s := range stacks {
		if i == reportStacks {
			fmt.Fprintf(&b, "and %d other stacks\n", len(stacks)-i)
			break
		}
		l := leaks[s]
		fmt.Fprintf(&b, "%d out, first a %s one at pool %d, allocated by\n%v", l.n, l.class, l.at, s)
	}
	return b.String()
}
