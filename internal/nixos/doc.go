// Package nixos knows where nixos-container(8) and the NixOS module keep
// containers: a file NAME.conf, a root directory, a profile and garbage
// collection roots. It reads and writes these files, and starts nothing.
package nixos
