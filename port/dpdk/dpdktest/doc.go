// Package dpdktest is what a program in C has that uses DPDK without package
// dpdk: a device and a mempool of its own, loops over them, and mbufs that no pool
// here makes. Tests wrap the device, send it such mbufs, look at what package dpdk
// gives to a device, and compare its bursts with the loops.
//
// It has something in it only with the tag dpdk, and expects that the environment
// runs.
package dpdktest
