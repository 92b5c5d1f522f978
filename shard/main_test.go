package shard

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails if a shard's thread outlives its group.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
