package container

// Effect is what a change does to a running guest, from nothing to a new
// root file system. Effects are ordered: the greatest of several holds.
type Effect int

// The effects of a change.
const (
	EffectNone     Effect = iota // nothing to do
	EffectLive                   // applied to the running guest, which does not notice
	EffectSwitch                 // the guest changes its system in place
	EffectRestart                // the guest is stopped and started
	EffectRecreate               // the guest starts over from another image
)

var effectNames = [...]string{"none", "live", "switch", "restart", "recreate"}

func (e Effect) String() string { return effectNames[e] }

// MarshalText implements encoding.TextMarshaler.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Action is what one step does to one container.
type Action string

// The actions of a plan.
const (
	ActionNone    Action = "none"
	ActionCreate  Action = "create"
	ActionUpdate  Action = "update"
	ActionStart   Action = "start" // nothing but to start it
	ActionDestroy Action = "destroy"
)

// Change is one key's old and new value, in the words of a declaration.
type Change struct {
	Key    string `json:"key"`
	Old    string `json:"old"`
	New    string `json:"new"`
	Effect Effect `json:"effect"`
}

// Step is what has to happen to one container so that it is as wanted.
type Step struct {
	Name    Name     `json:"name"`
	Action  Action   `json:"action"`
	Effect  Effect   `json:"effect"`
	Changes []Change `json:"changes,omitempty"`
	Start   bool     `json:"start,omitempty"`   // it is started at the end
	Restart bool     `json:"restart,omitempty"` // the running guest is stopped first
	Switch  bool     `json:"switch,omitempty"`  // the running guest changes its system in place
	Why     string   `json:"why,omitempty"`
	// System is the NixOS system that the guest is to boot, where one is wanted,
	// and Flake the flake that it comes from, as Nix has locked it.
	System StorePath `json:"system,omitempty"`
	Flake  string    `json:"flake,omitempty"`
	// Notes are what the owner should know about the container as it is wanted.
	Notes []string `json:"notes,omitempty"`
	// Packages are the changes from one NixOS system to another.
	Packages *PackageDiff `json:"packages,omitempty"`
}

// Disturbs reports whether the step ends a running guest or removes data. A
// guest that changes its system in place goes on.
func (s Step) Disturbs() bool {
	return s.Restart || s.Action == ActionDestroy || s.Effect == EffectRecreate
}

// Plan is an ordered list of steps; a container stands behind those that it
// depends on.
type Plan struct {
	Networks []NetworkStep `json:"networks,omitempty"`
	Steps    []Step        `json:"steps"`
}

// NetworkStep is what has to happen to one network of berth's. What a change
// does to guests is in their own steps.
type NetworkStep struct {
	Name    string   `json:"name"`
	Action  Action   `json:"action"`
	Changes []Change `json:"changes,omitempty"`
	Why     string   `json:"why,omitempty"`
}

// Empty reports whether the plan changes nothing.
func (p Plan) Empty() bool {
	for _, s := range p.Networks {
		if s.Action != ActionNone {
			return false
		}
	}
	for _, s := range p.Steps {
		if s.Action != ActionNone {
			return false
		}
	}
	return true
}

// Disturbs reports whether any step does.
func (p Plan) Disturbs() bool {
	for _, s := range p.Steps {
		if s.Disturbs() {
			return true
		}
	}
	return false
}
