//go:build !purego

package header

func init() { addAssembly("NEON", checksumNEON, checksumCopyNEON, 16) }
