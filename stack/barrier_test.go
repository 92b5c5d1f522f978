package stack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// hotFuncs are what each plain packet goes through.
var hotFuncs = []string{
	"Input", "plainInput", "plainTCP", "plainUDP", "lookup", "tcpDeliver", "predict", "ackAdvance", "freeAcked",
	"deliver", "giveToUser", "inputDone", "Recved", "Write", "WritePbuf", "newSegment", "Output", "outputData",
	"sendSegment", "sendEmpty", "sendPlain", "sentNew", "restartRtx", "enqueue", "push", "flush", "link", "unlink",
}

// rareStores are stores of pointers in hot functions that hardly ever happen.
var rareStores = []string{
	"in.nif = nif", // another interface than the last packet's
	"append(",      // it has room
	".await(",      // the port is behind
}

// TestHotPathsStorePointersWithoutBarriers asks the compiler, which knows that
// buffers do not lie in the heap only where cgo is on.
func TestHotPathsStorePointersWithoutBarriers(t *testing.T) {
	testenv.Tool(t, "gcc")
	cmd := exec.Command(testenv.Tool(t, "go"), "build", "-gcflags=-d=wb=1", ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOARCH=") // of the machine, also when this is emulated
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))

	found := regexp.MustCompile(`(?m)^(?:\./|stack/)(\w+\.go):(\d+):\d+: write barrier`).FindAllStringSubmatch(string(out), -1)
	require.NotEmpty(t, found, "the compiler reports barriers where there are some")
	for _, m := range found {
		line, err := strconv.Atoi(m[2])
		require.NoError(t, err)
		fn, text := lineOf(t, m[1], line)
		rare := slices.ContainsFunc(rareStores, func(s string) bool { return strings.Contains(text, s) })
		if slices.Contains(hotFuncs, fn) && !rare {
			t.Errorf("write barrier in %s, %s:%d: %s", fn, m[1], line, text)
		}
	}
}

// lineOf is the function that a line is in, and what it says.
func lineOf(t *testing.T, file string, line int) (fn, text string) {
	src, err := os.ReadFile(file)
	require.NoError(t, err)
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, file, src, 0)
	require.NoError(t, err)
	for _, d := range f.Decls {
		if fd, ok := d.(*ast.FuncDecl); ok && set.Position(fd.Pos()).Line <= line && line <= set.Position(fd.End()).Line {
			fn = fd.Name.Name
		}
	}
	return fn, strings.TrimSpace(strings.Split(string(src), "\n")[line-1])
}
