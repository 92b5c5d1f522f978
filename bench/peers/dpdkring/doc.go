// Package dpdkring measures DPDK's rte_ring. The ring lies in ordinary memory
// and DPDK's environment (EAL) isn't started: a ring needs none, and ring/ has
// none either. Needs libdpdk-dev and the build tag dpdk.
package dpdkring
