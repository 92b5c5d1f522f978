//go:build !lwip

package lwip

import "github.com/shardstack/shardstack/bench/peers/work"

// Run says that lwIP was left out.
func Run(*work.Spec) (float64, error) { return 0, work.Missing("built without the tag lwip") }
