// Package ingress answers HTTP and HTTPS for the names that containers have by
// their key ingress, and passes what is asked on to them. It follows leases,
// holds certificates, and keeps no other state than those.
package ingress
