package nspawn

// Option is an option of systemd-nspawn that berth gives.
type Option struct {
	Name string // such as "--tmpfs"
	// Since is the first systemd whose systemd-nspawn has it; 0 where the
	// manual does not tell, because it always had.
	Since int
	Keys  []string // of a spec that it carries out; none: it is given for all containers
}

// Options are all options that berth gives, each with its version from
// systemd-nspawn(1). It is the one place that knows about versions: Args gives
// no option that is not in it, and none to a systemd-nspawn that is too old.
func Options() []Option {
	return []Option{
		{Name: "--quiet", Since: 209},
		{Name: "--settings", Since: 226},
		{Name: "--register", Since: 209},
		{Name: "--keep-unit", Since: 209},
		{Name: "--machine", Since: 202},
		{Name: "--hostname", Since: 239},
		{Name: "--uuid"},
		{Name: "--directory"},
		{Name: "--notify-ready", Since: 231},
		{Name: "--kill-signal", Since: 220},
		{Name: "--console", Since: 242},
		{Name: "--link-journal", Since: 187},
		{Name: "--timezone", Since: 239},
		{Name: "--private-users", Since: 220, Keys: []string{"privateUsers"}},
		{Name: "--private-users-ownership", Since: 249, Keys: []string{"privateUsers"}},
		{Name: "--private-network", Keys: []string{"privateNetwork"}},
		{Name: "--network-namespace-path", Since: 236, Keys: []string{"networkNamespace"}},
		{Name: "--bind", Since: 198, Keys: []string{"bindMounts", "allowedDevices"}},
		{Name: "--bind-ro", Since: 198, Keys: []string{"bindMounts"}},
		{Name: "--tmpfs", Since: 214, Keys: []string{"tmpfs"}},
		{Name: "--capability", Since: 186, Keys: []string{"additionalCapabilities", "enableTun"}},
		{Name: "--drop-capability", Since: 209, Keys: []string{"dropCapabilities"}},
		{Name: "--system-call-filter", Since: 235, Keys: []string{"systemCallFilter"}},
		// Its announced default would take AF_NETLINK and AF_PACKET from
		// guests: it is given empty.
		{Name: "--restrict-address-families", Since: 261},
		{Name: "--setenv", Since: 209, Keys: []string{"environment"}},
		{Name: "--load-credential", Since: 247, Keys: []string{"credentials"}},
		{Name: "--boot"},
	}
}

// OptionsOf are the options that carry out a key.
func OptionsOf(key string) []Option {
	var out []Option
	for _, o := range Options() {
		for _, k := range o.Keys {
			if k == key {
				out = append(out, o)
			}
		}
	}
	return out
}

// floor is the oldest systemd-nspawn that there is an Args for: host.Floor.
const floor = 252

// In reports whether the systemd-nspawn of that version has the option. One
// that is older than berth runs on counts as the oldest that it does run on.
func (o Option) In(version int) bool { return o.Since <= max(version, floor) }

// arguments are what a systemd-nspawn of some version is given.
type arguments struct {
	options map[string]Option
	version int
	list    []string
}

func newArguments(version int) *arguments {
	a := &arguments{options: map[string]Option{}, version: version}
	for _, o := range Options() {
		a.options[o.Name] = o
	}
	return a
}

// set gives an option with a value, where this systemd-nspawn has it.
func (a *arguments) set(name, value string) { a.give(name, "="+value) }

// flag gives an option without a value, likewise.
func (a *arguments) flag(name string) { a.give(name, "") }

func (a *arguments) give(name, value string) {
	if o, known := a.options[name]; known && o.In(a.version) {
		a.list = append(a.list, name+value)
	}
}
