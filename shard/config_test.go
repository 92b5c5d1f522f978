package shard

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/affinity"
	"github.com/shardstack/shardstack/pbuf"
)

func TestConfigZeroIsValid(t *testing.T) {
	require.NoError(t, (&Config{}).Validate())
	require.NoError(t, (&Config{Manual: true}).Validate())
	require.NoError(t, (&Config{NoPin: true, Shards: MaxShards}).Validate())
}

func TestConfigValidateNamesContradictions(t *testing.T) {
	cores, err := affinity.Of(0)
	require.NoError(t, err)
	p := newFakePort(1)
	for _, c := range []struct {
		want string
		cfg  Config
	}{
		{"Cores", Config{Cores: cores, NoPin: true}},
		{"Cores", Config{Cores: cores, Manual: true}},
		{"Shards", Config{Shards: 2}},
		{"OwnThread", Config{Manual: true, OwnThread: true}},
		{"Shards", Config{NoPin: true, Shards: -1}},
		{"Shards", Config{NoPin: true, Shards: MaxShards + 1}},
		{"Idle", Config{Idle: 3}},
		{"IdleSpin", Config{IdleSpin: -1}},
		{"MaxSleep", Config{MaxSleep: -time.Second}},
		{"Burst", Config{Burst: -1}},
		{"Burst", Config{Burst: MaxBurst + 1}},
		{"MeshDepth", Config{MeshDepth: 3}},
		{"MeshDepth", Config{MeshDepth: 1}},
		{"Port is nil", Config{Ports: []PortConfig{{}}}},
		{"same as port 0", Config{Ports: []PortConfig{{Port: p}, {Port: p}}}},
		{"address", Config{Ports: []PortConfig{{Port: p, Addrs: make([]netip.Prefix, 1)}}}},
		{"route", Config{Ports: []PortConfig{{Port: p, Routes: make([]RouteConfig, 1)}}}},
		{"neighbour", Config{Ports: []PortConfig{{Port: p, Neighbors: make([]NeighborConfig, 1)}}}},
		{"VLAN", Config{Ports: []PortConfig{{Port: p, VLAN: 4095}}}},
		{"MTU", Config{Ports: []PortConfig{{Port: p, MTU: 65536}}}},
		{"TxQueue", Config{Ports: []PortConfig{{Port: p, TxQueue: -1}}}},
		{"DataRoom", Config{Pool: pbuf.Config{DataRoom: 1}}},
	} {
		err := c.cfg.Validate()
		require.ErrorIs(t, err, ErrConfig)
		require.ErrorContains(t, err, c.want)
		_, err = NewGroup(c.cfg)
		require.ErrorIs(t, err, ErrConfig)
	}
	bad := Config{}
	bad.Stack.Pool = pbuf.ByID(0)
	require.NoError(t, bad.Validate())
	bad.Stack.Pool = new(pbuf.Pool)
	require.ErrorContains(t, bad.Validate(), "Stack.Pool")
	bad = Config{}
	bad.Stack.TCP.MSS = 1
	require.ErrorIs(t, bad.Validate(), ErrConfig)
	require.ErrorContains(t, bad.Validate(), "MSS")
}

func TestIdlePolicyNames(t *testing.T) {
	for _, p := range []IdlePolicy{Adaptive, Spin, Park} {
		q, err := ParseIdlePolicy(p.String())
		require.NoError(t, err)
		require.Equal(t, p, q)
	}
	_, err := ParseIdlePolicy("lazy")
	require.ErrorIs(t, err, ErrConfig)
	require.Equal(t, "invalid", IdlePolicy(9).String())
}
