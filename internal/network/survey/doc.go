// Package survey looks at what the network of this machine has: addresses,
// routes, interfaces, and who listens on which port. It changes nothing.
package survey
