//go:build !pbufdebug && !race

package pbuf_test

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
)

// TestAccessorsInline asks the compiler whether the accessors that drivers and
// stack call for each packet still cost no call.
func TestAccessorsInline(t *testing.T) {
	goTool := testenv.Tool(t, "go")
	out, err := exec.Command(goTool, "build", "-gcflags=-m", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, name := range []string{
		"(*Pbuf).Len", "(*Pbuf).TotLen", "(*Pbuf).Next", "(*Pbuf).QNext", "(*Pbuf).Payload",
		"(*Pbuf).AddHeader", "(*Pbuf).RemoveHeader", "(*Pbuf).Headroom", "(*Pbuf).Tailroom",
		"(*Pbuf).Ref", "(*Pbuf).SetLen", "(*Pbuf).Spare", "(*Pbuf).Shared", "(*Pbuf).Skip",
		"(*Queue).Push", "(*Queue).Pop", "(*Queue).Head", "(*Queue).Len",
		"(*class).pop", "(*class).push",
	} {
		require.Contains(t, string(out), "can inline "+name+"\n")
	}
}
