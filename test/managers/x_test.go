//go:build managers

package managers
