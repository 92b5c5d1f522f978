//go:build dpdk

package dpdk

// #include <stdlib.h>
import "C"

import "unsafe"

// free frees what C.CString and C.malloc have made.
func free(p unsafe.Pointer) { C.free(p) }
