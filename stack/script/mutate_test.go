package script

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// mutations change one expectation so that no right stack can meet it.
var mutations = []struct {
	name string
	do   func(e *Event) bool // false: does not apply
}{
	{"seq", func(e *Event) bool { // that of a SYN only names the first number
		e.Packet.Seq++
		return e.Packet.Proto == protoTCP && e.Packet.Flags&flagSYN == 0
	}},
	{"flags", func(e *Event) bool { e.Packet.Flags ^= flagURG; return e.Packet.Proto == protoTCP }},
	{"ack", func(e *Event) bool { e.Packet.Ack++; return e.Packet.Flags&flagACK != 0 }},
	{"later", func(e *Event) bool {
		e.When.start += 5e9
		e.When.end += 5e9
		return e.When.kind != timeAny
	}},
	{"length", func(e *Event) bool { e.Packet.Len += 3; return e.Packet.Proto != protoICMP }},
	{"code", func(e *Event) bool { e.Packet.Type ^= 1; return e.Packet.Proto == protoICMP }},
}

// expectations are the events of a script that can fail.
func expectations(s *Script) (idx []int) {
	for i := range s.Events {
		if p := s.Events[i].Packet; p != nil && !p.Inbound {
			idx = append(idx, i)
		}
	}
	return idx
}

// mutate returns a script whose event i expects something else.
func mutate(s *Script, i, how int) (*Script, string) {
	for k := range mutations {
		m := mutations[(how+k)%len(mutations)]
		c := *s
		c.Events = append([]Event(nil), s.Events...)
		p := *c.Events[i].Packet
		c.Events[i].Packet = &p
		if m.do(&c.Events[i]) {
			return &c, m.name
		}
	}
	return nil, ""
}

// TestScriptsCanFail changes the expectations of our scripts, one at a time, and
// wants each script to fail then. Every packet that is expected gets one of the
// mutations in turn.
func TestScriptsCanFail(t *testing.T) {
	turn := 0
	err := filepath.WalkDir("../testdata", func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(p) != ".pkt" {
			return err
		}
		src, err := os.ReadFile(p)
		require.NoError(t, err)
		s, err := Parse(p, src)
		require.NoError(t, err)
		idx := expectations(s)
		checks := 0
		for _, e := range s.Events {
			if e.Code != nil || e.Call != nil && e.Call.Result.kind != exprDots {
				checks++
			}
		}
		require.Greater(t, len(idx)+checks, 0, "%s expects nothing", p)
		if len(idx) > 6 { // the first and the last few show it
			idx = append(idx[:2:2], idx[len(idx)-4:]...)
		}
		for _, i := range idx {
			turn++
			m, how := mutate(s, i, turn)
			require.NotNil(t, m)
			_, err := m.Run(Options{Strict: true})
			if !errors.Is(err, ErrMismatch) {
				t.Errorf("%s:%d: passes with another %s: %v", p, s.Events[i].Line, how, err)
			}
		}
		return nil
	})
	require.NoError(t, err)
}
