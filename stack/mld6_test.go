package stack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shardstack/shardstack/header"
)

var testGroup = netip.MustParseAddr("ff0e::1234")

// reported are the records of MLDv2 reports that were sent, and the groups of
// MLDv1 messages by type.
func (h *host) reported() (v2 map[header.Addr][]header.MLDv2Record, v1 map[uint8][]header.Addr) {
	h.t.Helper()
	v2, v1 = make(map[header.Addr][]header.MLDv2Record), make(map[uint8][]header.Addr)
	for _, f := range h.take() {
		require.NotNil(h.t, f.icmp6, "%s", f)
		require.True(h.t, f.ext.RouterAlert)
		require.Equal(h.t, uint8(1), f.ip6.HopLimit())
		if f.icmp6.Type() != header.ICMPv6MLDv2Report {
			m := (*header.MLD)(f.ipb[header.IPv6Len+8:])
			v1[f.icmp6.Type()] = append(v1[f.icmp6.Type()], m.Group())
			continue
		}
		require.Equal(h.t, header.AddrMLDv2Routers, f.ip6.Dst())
		n := int(f.icmp6.Rest())
		require.Len(h.t, f.body, n*header.MLDv2RecordLen)
		for ; n > 0; n-- {
			g := header.AddrFrom16([16]byte(f.body[4:20]))
			v2[g] = append(v2[g], header.MLDv2Record(f.body[0]))
			f.body = f.body[header.MLDv2RecordLen:]
		}
	}
	return v2, v1
}

// query is a query of a router; v2 has sources behind it.
func query(group header.Addr, delay uint16, v2 bool) []byte {
	b := make([]byte, header.MLDLen, header.MLDv2QueryLen)
	(*header.MLD)(b).Encode(header.ICMPv6MLDQuery, delay, group)
	if v2 {
		b = append(b, 0, 0, 0, 0)
	}
	return b
}

func (h *host) query(b []byte) {
	h.t.Helper()
	h.in(ipv6{src: peerLL, dst: all6, hops: 1}.nd(b))
}

func TestMLD6_RFC3810_6_1_JoinsAndLeavesAreReported(t *testing.T) {
	h := newHost6(t, host6Config{})
	require.NoError(t, h.nif.JoinGroup(testGroup))
	require.NoError(t, h.nif.JoinGroup(testGroup))
	h.advance(5 * time.Second)
	v2, v1 := h.reported()
	require.Equal(t, map[header.Addr][]header.MLDv2Record{hdr(testGroup): {header.MLDv2ToExclude, header.MLDv2ToExclude}}, v2, "twice, as one may get lost")
	require.Empty(t, v1)
	require.NoError(t, h.nif.LeaveGroup(testGroup))
	h.advance(5 * time.Second)
	h.none()
	require.NoError(t, h.nif.LeaveGroup(testGroup))
	h.advance(5 * time.Second)
	v2, _ = h.reported()
	require.Equal(t, map[header.Addr][]header.MLDv2Record{hdr(testGroup): {header.MLDv2ToInclude, header.MLDv2ToInclude}}, v2)
	require.Nil(t, h.nif.group(hdr(testGroup)))
	require.Equal(t, int64(Forever), h.NextTimeout())
}

func TestMLD6_RFC3810_6_2_QueriesAreAnswered(t *testing.T) {
	h := newHost6(t, host6Config{})
	require.NoError(t, h.nif.JoinGroup(testGroup))
	h.advance(5 * time.Second)
	h.take()
	h.query(query(header.Addr{}, 1000, true))
	h.none()
	h.advance(time.Second + time.Millisecond)
	v2, _ := h.reported()
	want := map[header.Addr][]header.MLDv2Record{}
	for _, a := range []netip.Addr{solicited(user6), testGroup} {
		want[hdr(a)] = []header.MLDv2Record{header.MLDv2IsExclude}
	}
	require.Equal(t, want, v2, "all groups but that of all nodes, in one answer")
	h.query(query(hdr(testGroup), 1000, true))
	h.query(query(hdr(netip.MustParseAddr("ff0e::99")), 1000, true))
	h.advance(time.Second + time.Millisecond)
	v2, _ = h.reported()
	require.Equal(t, map[header.Addr][]header.MLDv2Record{hdr(testGroup): {header.MLDv2IsExclude}}, v2)
}

func TestMLD6_RFC2710_4_Version1(t *testing.T) {
	h := newHost6(t, host6Config{})
	require.NoError(t, h.nif.JoinGroup(testGroup))
	h.advance(5 * time.Second)
	h.take()
	h.query(query(header.Addr{}, 1000, false))
	h.advance(time.Second + time.Millisecond)
	v2, v1 := h.reported()
	require.Empty(t, v2)
	require.ElementsMatch(t, []header.Addr{hdr(solicited(user6)), hdr(testGroup)}, v1[header.ICMPv6MLDReport])
	h.query(query(hdr(testGroup), 1000, false))
	report := make([]byte, header.MLDLen)
	(*header.MLD)(report).Encode(header.ICMPv6MLDReport, 0, hdr(testGroup))
	h.in(ipv6{src: netip.MustParseAddr("fe80::77"), dst: testGroup, hops: 1}.nd(report))
	h.advance(2 * time.Second)
	h.none() // another node has reported
	require.NoError(t, h.nif.LeaveGroup(testGroup))
	h.advance(time.Second)
	h.none() // and is there, so that no done is due
	require.NoError(t, h.nif.JoinGroup(testGroup))
	h.advance(30 * time.Second)
	_, v1 = h.reported()
	require.Len(t, v1[header.ICMPv6MLDReport], 2)
	require.NoError(t, h.nif.LeaveGroup(testGroup))
	h.advance(time.Second)
	_, v1 = h.reported()
	require.Equal(t, []header.Addr{hdr(testGroup)}, v1[header.ICMPv6MLDDone])
	h.advance(261 * time.Second) // RFC 3810 8.2.1: no router of version 1 is left
	require.NoError(t, h.nif.JoinGroup(testGroup))
	h.advance(time.Millisecond)
	v2, _ = h.reported()
	require.Len(t, v2, 1)
}

func TestMLD6_RFC3810_5_1_MessagesThatAreRefused(t *testing.T) {
	h := newHost6(t, host6Config{})
	good := query(header.Addr{}, 0, true)
	for i, b := range [][]byte{
		ipv6{src: peerLL, dst: all6, hops: 2}.nd(good),
		ipv6{src: peer6, dst: all6, hops: 1}.nd(good),
		ipv6{src: peerLL, dst: all6, hops: 1}.nd(append(good[:26:26], 0, 1)), // a source that is missing
		ipv6{src: peerLL, dst: all6, hops: 1}.nd(good[:25:25]),
		ipv6{src: peerLL, dst: all6, hops: 1}.nd(query(hdr(user6), 0, true)),
	} {
		h.in(b)
		require.Equal(t, uint64(i+1), h.stats.MLD6.InErrors, "case %d", i)
	}
	h.dropped(DropND6Malformed, 5)
	h.advance(time.Second)
	h.none()
}

func TestMLD6_ManyGroupsInFewReports(t *testing.T) {
	h := newHost6(t, host6Config{})
	for i := range 200 {
		require.NoError(t, h.nif.AddAddr(netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 7), 15: byte(i | 0x80)}), 64)))
	}
	h.Poll(h.now)
	h.Flush(h.now)
	require.Len(t, h.sent, 4, "of 60 records each")
	for _, f := range h.sent {
		require.LessOrEqual(t, len(f.ipb), header.IPv6MinMTU)
	}
	h.advance(5 * time.Second)
	v2, _ := h.reported()
	require.Len(t, v2, 200)
}
