package host

import "fmt"

// Version is a version of the kernel.
type Version struct{ Major, Minor int }

// AtLeast reports whether v is not older than major.minor.
func (v Version) AtLeast(major, minor int) bool {
	return v.Major > major || v.Major == major && v.Minor >= minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Feature is something that berth uses of the kernel and that not every one
// has.
type Feature struct {
	Name    string
	Since   Version
	Needed  bool   // berth cannot do without
	Without string // what else that costs, for people
}

// The features by which berth asks for them.
const (
	MountMapping = "id-mapped mounts"
	LayerMapping = "overlays on id-mapped mounts"
)

// Features are those features, the oldest first. It is the one place that
// knows versions of the kernel.
func Features() []Feature {
	return []Feature{
		{Name: MountMapping, Since: Version{5, 15}, Needed: true},
		{Name: LayerMapping, Since: Version{5, 19},
			Without: "the first start of a container changes the owner of each file of its image"},
	}
}

func (f Feature) String() string { return fmt.Sprintf("%s (Linux %v)", f.Name, f.Since) }

// In reports whether a kernel has the feature.
func (f Feature) In(v Version) bool { return v.AtLeast(f.Since.Major, f.Since.Minor) }

// Kernel is the version of the running kernel.
func (p Probe) Kernel() (Version, error) {
	r, err := p.Release()
	if err != nil {
		return Version{}, err
	}
	var v Version
	if _, err := fmt.Sscanf(r, "%d.%d", &v.Major, &v.Minor); err != nil {
		return Version{}, fmt.Errorf("kernel release %q: %w", r, err)
	}
	return v, nil
}

// Lacks are the features that the running kernel does not have.
func (p Probe) Lacks() ([]Feature, error) {
	v, err := p.Kernel()
	if err != nil {
		return nil, err
	}
	var out []Feature
	for _, f := range Features() {
		if !f.In(v) {
			out = append(out, f)
		}
	}
	return out, nil
}

// MappedLayers reports whether overlays may lie on id-mapped mounts.
func (p Probe) MappedLayers() (bool, error) {
	missing, err := p.Lacks()
	for _, f := range missing {
		if f.Name == LayerMapping {
			return false, nil
		}
	}
	return err == nil, err
}
