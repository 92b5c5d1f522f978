package tap

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/testenv"
	"github.com/shardstack/shardstack/port"
	"github.com/shardstack/shardstack/rss"
)

// TestMissingSteeringIsTold: a file that can't be steered stands for a kernel that
// can't. With SteerAuto the port works without, with SteerEBPF it is an error.
func TestMissingSteeringIsTold(t *testing.T) {
	testenv.Root(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	p := &Port{queues: []*queue{{fd: int(r.Fd())}, {fd: int(w.Fd())}}}
	require.NoError(t, p.steer())
	require.Nil(t, p.rss)
	require.ErrorIs(t, p.SteeringError(), port.ErrNotSupported)
	require.Zero(t, p.Info().RSS)
	p.cfg.Steering = SteerEBPF
	require.ErrorIs(t, p.steer(), port.ErrNotSupported)
}

func TestMoreQueuesThanATableHolds(t *testing.T) {
	testenv.Root(t)
	_, err := newSteerer(rss.Key{}, rss.MaxRETA+1)
	require.ErrorIs(t, err, port.ErrNotSupported)
	s, err := newSteerer(rss.Key{}, MaxQueues)
	require.NoError(t, err)
	require.Equal(t, rss.MaxRETA, s.reta.Size())
	require.NoError(t, s.close())
}
