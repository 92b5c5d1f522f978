// Package self does the works on shardstack: the testbed of package bench, its
// ring, and netconn.
package self
