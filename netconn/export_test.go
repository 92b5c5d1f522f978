package netconn

import "github.com/shardstack/shardstack/shard"

// Lane is the shard of a connection, for tests.
func (c *TCPConn) Lane() *shard.Shard { return c.lane.sh }
