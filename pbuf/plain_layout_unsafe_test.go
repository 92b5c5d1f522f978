//go:build !pbufdebug

package pbuf

import "unsafe"

func addrOfClass(pl *Pool, i int) uintptr { return uintptr(unsafe.Pointer(&pl.classes[i])) }
