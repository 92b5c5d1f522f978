package header

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFaultNamesAreDistinct(t *testing.T) {
	seen := map[string]bool{}
	for f := range NumFaults {
		require.NotEmpty(t, f.String())
		require.False(t, seen[f.String()], f.String())
		seen[f.String()] = true
	}
	require.Equal(t, "ok", OK.String())
	require.Equal(t, "tcp_option", FaultTCPOption.String(), "the table is in step with the constants")
	require.Equal(t, "unknown", NumFaults.String())
}
