// Package firewall is what berth does with nftables: the tables "inet
// INSTANCE" and "bridge INSTANCE", which translate addresses, let ports through
// to guests, and keep guests from what is not theirs. It knows no leases, only
// plain data. It never changes what others have in nftables; what of that drops
// berth's traffic it can tell.
//
// The chains are always the same. What belongs to one guest is elements of
// sets and maps, so that a guest comes and goes in one transaction of its own
// size, and a packet costs the same with one port and with ten thousand.
package firewall
