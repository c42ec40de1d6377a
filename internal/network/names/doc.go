// Package names is the one process that networks of guests need: it serves DNS
// and DHCP to guests, tells the host their names, and has them answer ports of
// [::1]. It follows the leases, and ends when there are none.
package names
