package declare

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/berth-containers/berth/container"
)

// check is what no key can tell by itself. It reports whether s may be used.
func (r *reader) check(at path, v *value, name Position, s container.Spec) bool {
	well := true
	c := checker{r: r, at: at, value: v, tell: func(p *Problem) {
		well = false
		r.report(p)
	}}
	c.source(name)
	c.store(s)
	c.network(s)
	c.mounts(s)
	c.capabilities(s)
	return well
}

// checker reports what does not go together in one container.
type checker struct {
	r     *reader
	at    path
	value *value
	tell  func(*Problem)
}

// given reports whether a key is in the declaration, well or not, and neither
// an empty list nor an empty map.
func (c checker) given(key string) bool {
	v := c.value.member(key)
	empty := v != nil && (v.kind == kindList || v.kind == kindMap) && len(v.list)+len(v.entries) == 0
	return v != nil && !empty
}

// problem is told at the value of a key.
func (c checker) problem(key, hint, format string, args ...any) {
	whole := key
	if c.at.whole != "" {
		whole = c.at.whole + "." + key
	}
	c.tell(&Problem{Pos: c.r.keys[key], Key: whole, Hint: hint, Err: fmt.Errorf(format, args...)})
}

// sources are the keys of which a container has exactly one.
func sources() []string { return []string{"image", "flake", "config", "configFile", "system"} }

func (c checker) source(name Position) {
	given := slices.DeleteFunc(sources(), func(k string) bool { return !c.given(k) })
	switch {
	case len(given) == 0 && c.sourceIsTold():
	case len(given) == 0:
		c.tell(&Problem{Pos: name, Key: c.at.whole, Err: errors.New("nothing says what the guest is made of"),
			Hint: "give one of " + or(sources())})
	case len(given) > 1:
		c.problem(given[1], "", "%s are given: keep one, the guest is made of one thing", and(given))
	}
}

// store is of guests with a NixOS system alone.
func (c checker) store(s container.Spec) {
	for _, key := range []string{"nixpkgs", "nixosPath"} {
		if c.given(key) && c.value.member("config") == nil && c.value.member("configFile") == nil {
			c.problem(key, "leave it out; a flake has its own inputs", "it is for config and configFile, and neither is given")
		}
	}
	if c.given("nixpkgs") && c.given("nixosPath") {
		c.problem("nixosPath", "keep one of the two", "nixpkgs is given too, which has a NixOS")
	}
	if s.StoreAccess != container.StoreClosure && !s.Image.IsZero() {
		c.problem("storeAccess", "leave it out, or give a NixOS system", "a guest of an image has a store of its own, if any")
	}
	c.nix(s)
	if s.Root != "" && !s.Image.IsZero() {
		c.problem("root", "leave it out, or give a NixOS system", "what a guest of an image changes is kept apart from any other root")
	}
	if s.Root != "" && s.Ephemeral {
		c.problem("root", "keep one of the two", "the root of an ephemeral guest is in memory")
	}
	if hasMount(s, container.StoreDir) && s.Image.IsZero() {
		c.problem("bindMounts", "leave it out; storeAccess: host shows the host's", "%s is what the guest's NixOS system gives", container.StoreDir)
	}
}

// nix is what a Nix in the guest needs of its store.
func (c checker) nix(s container.Spec) {
	const key = "nixInGuest"
	switch {
	case s.NixInGuest == container.NixNone:
	case !s.Image.IsZero():
		c.problem(key, "leave it out, or give a NixOS system", "a guest of an image has a Nix and a store of its own, if any")
	case s.NixInGuest == container.NixOwn && s.StoreAccess == container.StoreHost:
		c.problem(key, "leave storeAccess out", "own is a store of the guest's upon its closure, storeAccess: host shows the host's")
	case s.NixInGuest == container.NixDaemon && s.StoreAccess == container.StoreClosure && c.given("storeAccess"):
		c.problem(key, "leave storeAccess out", "with the host's daemon the guest sees all of the host's store, storeAccess: closure hides it")
	}
	for _, target := range slices.Sorted(maps.Keys(s.BindMounts)) {
		if taken(s.NixInGuest, target) {
			c.problem("bindMounts."+target, "leave it out", "nixInGuest: %s is what the guest has there", s.NixInGuest)
		}
	}
}

// taken reports whether a Nix in the guest needs a path for itself.
func taken(n container.NixInGuest, target string) bool {
	return n == container.NixDaemon && slices.Contains([]string{"/nix/var/nix/daemon-socket", "/nix/var/nix/gcroots", "/nix/var/nix/profiles"}, target)
}

// sourceIsTold reports whether a source is there, but in a way that is told
// of already: misspelled, or of a wrong type.
func (c checker) sourceIsTold() bool {
	for _, s := range sources() {
		if c.value.member(s) != nil {
			return true
		}
	}
	return misspelled(c.value, sources(), isKey)
}

func (c checker) mounts(s container.Spec) {
	for i, entry := range s.Tmpfs {
		if p := container.TmpfsPath(entry); hasMount(s, p) {
			c.problem(indexKey("tmpfs", i), "keep one of the two", "%q is a mount point of bindMounts too", short(p))
		}
	}
}

func hasMount(s container.Spec, point string) bool {
	_, ok := s.BindMounts[point]
	return ok
}

func (c checker) capabilities(s container.Spec) {
	for i, drop := range s.DropCapabilities {
		if slices.Contains(s.AdditionalCapabilities, drop) {
			c.problem(indexKey("dropCapabilities", i), "keep one of the two", "%s is in additionalCapabilities too", drop)
		}
	}
}

// and joins words as people do: "a, b and c".
func and(words []string) string { return joined(words, " and ") }

// or joins words as people do: "a, b or c".
func or(words []string) string { return joined(words, " or ") }

func joined(words []string, link string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + link + words[last]
}
