//go:build !dpdk

package dpdkring

import "github.com/shardstack/shardstack/bench/peers/work"

// Run says that DPDK was left out.
func Run(*work.Spec) (float64, error) { return 0, work.Missing("built without the tag dpdk") }
