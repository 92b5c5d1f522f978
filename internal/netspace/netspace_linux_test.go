package netspace_test

import (
	"errors"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/internal/netspace"
	"github.com/shardstack/shardstack/internal/testenv"
)

// What is opened in a namespace is there, and the caller is where it was.
func TestDo(t *testing.T) {
	ns := testenv.Netns(t)
	var there, again []net.Interface
	require.NoError(t, netspace.Do(ns, func() (err error) {
		there, err = net.Interfaces()
		return err
	}))
	require.Len(t, there, 1, "a new namespace has a loopback and nothing else")
	require.NoError(t, netspace.Do("/var/run/netns/"+ns, func() (err error) {
		again, err = net.Interfaces()
		return err
	}))
	require.Equal(t, there, again)
	var l net.Listener
	require.NoError(t, netspace.Do(ns, func() (err error) {
		l, err = net.Listen("tcp4", "127.0.0.1:0")
		return err
	}))
	defer l.Close()
	_, err := net.Dial("tcp4", l.Addr().String())
	require.Error(t, err, "it is not here")
	require.NoError(t, netspace.Do(ns, func() error {
		c, err := net.Dial("tcp4", l.Addr().String())
		if err == nil {
			err = c.Close()
		}
		return err
	}))
}

func TestDoErrors(t *testing.T) {
	mine := errors.New("mine")
	require.ErrorIs(t, netspace.Do("", func() error { return mine }), mine)
	require.ErrorIs(t, netspace.Do(testenv.Netns(t), func() error { return mine }), mine)
	err := netspace.Do("no-such-namespace", func() error { panic("called") })
	require.ErrorIs(t, err, os.ErrNotExist)
}
