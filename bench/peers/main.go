package main

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/shardstack/shardstack/bench/peers/dpdkring"
	"github.com/shardstack/shardstack/bench/peers/gvisor"
	"github.com/shardstack/shardstack/bench/peers/linux"
	"github.com/shardstack/shardstack/bench/peers/lwip"
	"github.com/shardstack/shardstack/bench/peers/self"
	"github.com/shardstack/shardstack/bench/peers/work"
)

func main() {
	s := work.Spec{MTU: 1500, Size: 64, Conns: 1, Warm: 200 * time.Millisecond, Time: 500 * time.Millisecond, Cores: []int{0, 1}}
	if err := json.Unmarshal([]byte(os.Args[2]), &s); err != nil {
		panic(err)
	}
	t0 := time.Now()
	v, err := map[string]func(*work.Spec) (float64, error){"gvisor": gvisor.Run, "linux": linux.Run, "lwip": lwip.Run, "dpdk": dpdkring.Run, "self": self.Run, "one": self.RunOne}[os.Args[1]](&s)
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	cpu := float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
	fmt.Println(os.Args[1:], v, s.Unit(), err, "cpus", cpu/time.Since(t0).Seconds())
}
