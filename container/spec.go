package container

import (
	"cmp"
	"time"
)

// Spec is what a container's owner wants. Its keys are the option names of
// NixOS `containers.<name>` and, in the same style, berth's own. The zero Spec
// is not the default one: see DefaultSpec. Keys has a line of documentation,
// the default and the effect of each.
type Spec struct {
	// Where the guest comes from: exactly one of these is set.
	Image      ImageRef `json:"image,omitzero"`
	Flake      string   `json:"flake,omitempty"`
	Config     string   `json:"config,omitempty"`
	ConfigFile string   `json:"configFile,omitempty"`
	System     string   `json:"system,omitempty"`
	// Nixpkgs or NixOSPath is where config and configFile find NixOS.
	Nixpkgs   string `json:"nixpkgs,omitempty"`
	NixOSPath string `json:"nixosPath,omitempty"`
	// StoreAccess is of a guest with a system.
	StoreAccess StoreAccess `json:"storeAccess,omitempty"`
	// NixInGuest is of a guest with a system, too.
	NixInGuest NixInGuest `json:"nixInGuest,omitempty"`
	// Root is the directory of the guest's root, if not among what berth keeps.
	Root string `json:"root,omitempty"`

	AutoStart        bool         `json:"autoStart"`
	Ephemeral        bool         `json:"ephemeral"`
	RestartIfChanged bool         `json:"restartIfChanged"`
	TimeoutStartSec  Duration     `json:"timeoutStartSec"`
	PrivateUsers     PrivateUsers `json:"privateUsers"`
	DependsOn        []Name       `json:"dependsOn,omitempty"`
	HealthCheck      *HealthCheck `json:"healthCheck,omitempty"`
	HealthTimeout    Duration     `json:"healthTimeout,omitempty"`   // 0: DefaultHealthTimeout
	KeepGenerations  int          `json:"keepGenerations,omitempty"` // 0: DefaultKeepGenerations
	Limits           Limits       `json:"limits,omitzero"`
	Labels           Labels       `json:"labels,omitempty"`

	PrivateNetwork   bool                 `json:"privateNetwork"`
	Networks         []string             `json:"networks,omitempty"` // names, or NoNetwork alone
	Zone             string               `json:"zone,omitempty"`
	HostBridge       string               `json:"hostBridge,omitempty"`
	HostAddress      string               `json:"hostAddress,omitempty"`
	LocalAddress     string               `json:"localAddress,omitempty"`
	HostAddress6     string               `json:"hostAddress6,omitempty"`
	LocalAddress6    string               `json:"localAddress6,omitempty"`
	LocalMacAddress  string               `json:"localMacAddress,omitempty"`
	NetworkNamespace string               `json:"networkNamespace,omitempty"`
	Interfaces       []string             `json:"interfaces,omitempty"`
	Macvlans         []string             `json:"macvlans,omitempty"`
	ExtraVeths       map[string]ExtraVeth `json:"extraVeths,omitempty"`
	ForwardPorts     []ForwardPort        `json:"forwardPorts,omitempty"`
	Aliases          []string             `json:"aliases,omitempty"`
	AllowHost        []HostPort           `json:"allowHost,omitempty"`
	Ingress          []Ingress            `json:"ingress,omitempty"`

	BindMounts             map[string]BindMount `json:"bindMounts,omitempty"` // by mount point
	Tmpfs                  []string             `json:"tmpfs,omitempty"`
	AllowedDevices         []AllowedDevice      `json:"allowedDevices,omitempty"`
	AdditionalCapabilities []Capability         `json:"additionalCapabilities,omitempty"`
	DropCapabilities       []Capability         `json:"dropCapabilities,omitempty"`
	SystemCallFilter       []string             `json:"systemCallFilter,omitempty"`
	EnableTun              bool                 `json:"enableTun"`
	Credentials            []Credential         `json:"credentials,omitempty"`
	Environment            map[string]string    `json:"environment,omitempty"`
	ExtraFlags             []string             `json:"extraFlags,omitempty"`
}

// DefaultSpec is a Spec in which every key has its default. It names no
// source, so it is not yet a valid one. AutoStart is false, as `berth create`
// has it; declarations start from true.
func DefaultSpec() Spec {
	return Spec{
		RestartIfChanged: true,
		TimeoutStartSec:  Duration(time.Minute),
		PrivateUsers:     PrivateUsers{Mode: UsersPick},
		HealthTimeout:    DefaultHealthTimeout,
		KeepGenerations:  DefaultKeepGenerations,
	}
}

// What holds where a spec of an older berth does not say.
const (
	DefaultHealthTimeout   = Duration(time.Minute)
	DefaultKeepGenerations = 5
)

// Labels are the owner's own marks, for selecting with -l.
type Labels map[string]string

// BindMount makes a file or directory of the host appear in the guest.
type BindMount struct {
	HostPath   string `json:"hostPath"`         // absolute
	IsReadOnly bool   `json:"isReadOnly"`       // default true, as on NixOS
	Create     bool   `json:"create,omitempty"` // make the directory on the host if it is missing
}

// ExtraVeth is one more virtual Ethernet pair; NixOS `extraVeths.<name>`.
type ExtraVeth struct {
	HostBridge      string        `json:"hostBridge,omitempty"`
	HostAddress     string        `json:"hostAddress,omitempty"`
	LocalAddress    string        `json:"localAddress,omitempty"`
	HostAddress6    string        `json:"hostAddress6,omitempty"`
	LocalAddress6   string        `json:"localAddress6,omitempty"`
	LocalMacAddress string        `json:"localMacAddress,omitempty"`
	ForwardPorts    []ForwardPort `json:"forwardPorts,omitempty"`
}

// ForwardPort is a port of the host, or a range, that the guest answers.
type ForwardPort struct {
	Protocol      string `json:"protocol"` // tcp or udp
	HostPort      Ports  `json:"hostPort"`
	ContainerPort uint16 `json:"containerPort,omitempty"` // the guest's for the first of HostPort; 0: the same
	HostAddress   string `json:"hostAddress,omitempty"`   // where to listen; empty: everywhere
}

// To is the guest's port for the first one of the host.
func (f ForwardPort) To() uint16 { return cmp.Or(f.ContainerPort, f.HostPort.First) }

// AllowedDevice lets the guest use a device node of the host.
type AllowedDevice struct {
	Node     string `json:"node"`     // an absolute path below /dev, or a class such as char-usb_device
	Modifier string `json:"modifier"` // of r (read), w (write), m (mknod)
}

// Credential is a secret that the guest reads under its ID; see CREDENTIALS
// in systemd.exec(5). The value stays in the file.
type Credential struct {
	ID   string `json:"id"`
	Path string `json:"path"` // absolute, on the host
	// Encrypted is a file of systemd-creds(1), which systemd decrypts.
	Encrypted bool `json:"encrypted,omitempty"`
}

// Limits bound what the guest takes of the host. A zero field is no limit.
type Limits struct {
	MemoryMax Bytes   `json:"memoryMax,omitzero"` // bytes
	CPUQuota  Percent `json:"cpuQuota,omitzero"`  // per cent of one CPU
	TasksMax  uint64  `json:"tasksMax,omitempty"` // processes and threads
	IOWeight  uint16  `json:"ioWeight,omitempty"` // 1 to 10000; 100 is what others have
}

// HealthCheck tells whether a running guest does its work.
type HealthCheck struct {
	Command  []string `json:"command,omitempty"` // run in the guest; 0 is healthy
	TCP      string   `json:"tcp,omitempty"`     // host:port or :port
	HTTP     string   `json:"http,omitempty"`    // a URL; 200 to 399 is healthy
	Interval Duration `json:"interval,omitzero"`
	Timeout  Duration `json:"timeout,omitzero"`
	Retries  int      `json:"retries,omitempty"`
}
