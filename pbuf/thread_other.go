//go:build pbufdebug && !linux

package pbuf

// threadID returns 0: threads can't be told apart here, and none is bound.
func threadID() int { return 0 }
