//go:build !gc

package ring

import "runtime"

// procyield passes some time.
func procyield(uint32) { runtime.Gosched() }
