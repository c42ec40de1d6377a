package container

import "time"

// Generation is one kept version of what a container boots, with the spec it
// ran under.
type Generation struct {
	Number  int       `json:"number"`
	Created time.Time `json:"created"` // when the container first took it
	Image   string    `json:"image,omitempty"`
	Digest  Digest    `json:"digest,omitempty"`
	System  StorePath `json:"system,omitempty"`
	// Current is set of the one that the guest runs, or would run if it were
	// started; Next of the one that the next start takes, where that is another.
	Current bool `json:"current"`
	Next    bool `json:"next,omitempty"`
	// Failed is why an update to it was undone, for people.
	Failed string `json:"failed,omitempty"`
	// SetAside is set where what the guest had changed in it is kept with it.
	SetAside bool `json:"setAside,omitempty"`
}

// PackageDiff is what changes from one NixOS system to another, by the names
// of the packages that they consist of.
type PackageDiff struct {
	Added   []Package       `json:"added,omitempty"`
	Removed []Package       `json:"removed,omitempty"`
	Changed []PackageChange `json:"changed,omitempty"` // of version
	// Rebuilt counts store paths that are others, but of the same name.
	Rebuilt int   `json:"rebuilt,omitempty"`
	OldSize int64 `json:"oldSize"` // bytes of all store paths
	NewSize int64 `json:"newSize"`
}

// Package is one of a system's packages.
type Package struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions,omitempty"` // sorted; empty where its store path has none
}

// PackageChange is a package that has other versions.
type PackageChange struct {
	Name string   `json:"name"`
	Old  []string `json:"old"`
	New  []string `json:"new"`
}

// Health is whether a running guest does its work.
type Health struct {
	OK bool `json:"ok"`
	// Trouble says what is wrong, for people; empty with OK.
	Trouble string `json:"trouble,omitempty"`
}
