package ring

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// user is a package that instantiates rings for each kind of generated code:
// words, structs and pointers.
const user = `package user

import "github.com/shardstack/shardstack/ring"

type message struct { addr uintptr; kind, n uint32 }

func use[T any]() {
	r, _ := ring.NewSPSC[T](64)
	b := make([]T, 32)
	r.PushBatch(b)
	r.PopBatch(b)
	v, _ := r.Pop()
	r.Push(v)
}

func Words()    { use[uint64]() }
func Structs()  { use[message]() }
func Pointers() { use[*message]() }

func Small(b *ring.Bell, f *ring.Flag, c *ring.Counter, s *ring.State[uint32]) {
	b.Arm(); b.Ring(); b.Disarm(); f.Set(); f.IsSet(); c.Inc(); s.Store(1); s.Move(1, 2)
}
`

// TestAtomicsInline compiles a user of the package and looks at what its
// machine code calls: copies and checks of the runtime, and no atomics, which
// are instructions. That is no matter of course for generic code; see side.
func TestAtomicsInline(t *testing.T) {
	goTool := testenv.Tool(t, "go")
	file := filepath.Join(t.TempDir(), "user.go")
	require.NoError(t, os.WriteFile(file, []byte(user), 0o600))
	out, err := exec.Command(goTool, "build", "-gcflags=-S", file).CombinedOutput()
	require.NoError(t, err, "%s", out)

	calls := make(map[string][]string)
	var in string
	for line := range strings.Lines(string(out)) {
		if name, _, ok := strings.Cut(line, " STEXT "); ok {
			in = name
			calls[in] = nil
		}
		if _, to, ok := strings.Cut(line, "\tCALL\t"); ok {
			calls[in] = append(calls[in], strings.TrimSpace(to))
		}
	}
	looked := 0
	for in, to := range calls {
		if !strings.Contains(in, "ring.(*SPSC[go.shape.") && !strings.HasSuffix(in, ".Small") {
			continue
		}
		looked++
		for _, c := range to {
			if strings.HasSuffix(c, "ring.(*side).pause(SB)") {
				require.Contains(t, in, ".Pause") // who pauses need not hurry
				continue
			}
			require.Truef(t, strings.HasPrefix(c, "runtime."), "%s calls %s", in, c)
		}
	}
	require.GreaterOrEqual(t, looked, 3*4+1, "functions seen: %d", len(calls))
}
