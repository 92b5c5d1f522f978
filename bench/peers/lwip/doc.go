// Package lwip does the works on lwIP as Debian builds it, through its raw
// API: two instances on one pinned thread, joined by a wire that copies each
// packet once. Needs liblwip-dev and the build tag lwip.
package lwip
