//go:build gc

package ring

import _ "unsafe" // for go:linkname

// procyield has the processor pause so many times. The runtime keeps it for others
// than itself (go.dev/issue/67401).
//
//go:linkname procyield runtime.procyield
func procyield(turns uint32)
