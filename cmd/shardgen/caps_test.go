package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/offload"
)

// by gives who does each offload of the port.
func (p *portCaps) by() map[string]string {
	m := map[string]string{}
	for _, d := range p.Offloads {
		m[d.Name] = d.By
	}
	return m
}

func TestDoneBy(t *testing.T) {
	for c := offload.Caps(1); c <= offload.All; c <<= 1 {
		used := stackUses.Has(c)
		require.Equal(t, used || c == offload.LRO, doneBy(c, offload.All) == byPort, c.String())
		require.Equal(t, !used, doneBy(c, 0) == notUsed, c.String())
		if used && c != offload.MultiSeg {
			require.Equal(t, bySoftware, doneBy(c, 0), c.String())
		}
	}
	require.Equal(t, byNobody, doneBy(offload.MultiSeg, 0))
}

func TestPortsOfTheWire(t *testing.T) {
	code, stdout, stderr := shardgen(t, "ports", "--port=mem", "--json")
	require.Equal(t, exitOK, code, stderr)
	var r capsReport
	require.NoError(t, json.Unmarshal([]byte(stdout), &r))
	require.Equal(t, "ports", r.Command)
	require.Len(t, r.Ports, 1)
	require.Equal(t, "mem", r.Ports[0].Port)
	require.Equal(t, byPort, r.Ports[0].by()["TxTCPCsum"])

	code, stdout, _ = shardgen(t, "ports", "--port=mem", "--no-offload")
	require.Equal(t, exitOK, code)
	require.Regexp(t, `mem: MTU 1500`, stdout)
	require.Regexp(t, `TxTCPCsum +no +software`, stdout)
	require.Regexp(t, `MultiSeg +yes +port`, stdout)
}

func TestPortsOfATAPDevice(t *testing.T) {
	testenv.Device(t, "/dev/net/tun")
	ns := testenv.Netns(t)
	caps := func(args ...string) portCaps {
		t.Helper()
		code, stdout, stderr := shardgen(t, append([]string{"ports", "--port=tap:look", "--netns=" + ns, "--json"}, args...)...)
		require.Equal(t, exitOK, code, stderr)
		var r capsReport
		require.NoError(t, json.Unmarshal([]byte(stdout), &r))
		require.Len(t, r.Ports, 1)
		return r.Ports[0]
	}
	p := caps()
	require.Equal(t, byPort, p.by()["TxTCPCsum"])
	require.Equal(t, bySoftware, p.by()["TxIPCsum"])
	p = caps("--no-offload", "--mtu=9000")
	require.Equal(t, bySoftware, p.by()["TxTCPCsum"])
	require.Equal(t, 9000, p.MTU)

	code, _, stderr := shardgen(t, "ports", "--port=tap:look", "--netns=shardgen-none")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "shardgen-none")
}

// Without a device the list says why, and goes on.
func TestPortsThatCannotBe(t *testing.T) {
	code, stdout, stderr := shardgen(t, "ports", "--netns=shardgen-none")
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, "mem: MTU 1500")
	require.Regexp(t, `tap: .*shardgen-none`, stdout)
}
