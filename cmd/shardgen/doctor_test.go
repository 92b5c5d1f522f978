package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/cmd/shardgen/doctor"
)

func TestDoctorPrints(t *testing.T) {
	code, stdout, stderr := shardgen(t, "doctor", corelist(t, 1))
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, "isolcpus")
	require.Contains(t, stdout, "huge pages")
}

// A card that is not there can't be used; scripts learn it from the exit code.
func TestDoctorFailsForWhatDoesNotWork(t *testing.T) {
	code, stdout, stderr := shardgen(t, "doctor", "--json", "--port=dpdk:0000:ff:1f.7", corelist(t, 1))
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "does not work")
	var list []doctor.Finding
	require.NoError(t, json.Unmarshal([]byte(stdout), &list))
	for _, f := range list {
		if f.Check == "device" {
			require.Equal(t, doctor.Bad, f.Verdict)
			require.NotEmpty(t, f.Do)
			return
		}
	}
	t.Fatal("no line about the device")
}

func TestDeviceName(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "mem": "", "tap:x": "", "dpdk:pair": "", "dpdk:net_tap0,iface=x": "", "dpdk:0000:01:00.0": "0000:01:00.0",
	} {
		require.Equal(t, want, deviceName(text), text)
	}
}
