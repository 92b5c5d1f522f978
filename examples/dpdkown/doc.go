//go:build !dpdk

// Dpdkown needs the build tag dpdk; see main.go.
package main

import "log"

func main() { log.Fatal("build me with -tags dpdk") }
