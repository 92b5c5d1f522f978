//go:build !gc

package shard

import "runtime"

// goyield lets other goroutines run.
func goyield() { runtime.Gosched() }
