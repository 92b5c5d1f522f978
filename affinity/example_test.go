package affinity_test

import (
	"fmt"
	"runtime"

	"github.com/spf13/pflag"

	"github.com/shardstack/shardstack/affinity"
)

func ExampleMaskFlag() {
	var cores affinity.Set
	flags := pflag.NewFlagSet("example", pflag.ContinueOnError)
	flags.Var((*affinity.MaskFlag)(&cores), "coremask", "cores to use, as a mask")
	flags.Var((*affinity.ListFlag)(&cores), "cores", "cores to use, as a list")
	if err := flags.Parse([]string{"--coremask", "0x10f"}); err != nil {
		panic(err)
	}
	fmt.Println(cores, cores.Len(), cores.Mask())
	for shard, core := range cores.First(2).All() {
		fmt.Println("shard", shard, "on core", core)
	}
	// Output:
	// 0-3,8 5 0x10f
	// shard 0 on core 0
	// shard 1 on core 1
}

func ExamplePin() {
	cores, err := affinity.Allowed()
	if err != nil {
		panic(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		done <- affinity.Pin(cores.At(0))
	}()
	fmt.Println(<-done)
	// Output: <nil>
}
