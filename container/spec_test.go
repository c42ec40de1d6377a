package container

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestSpecJSON writes and reads specs: spec.json is nothing else.
func TestSpecJSON(t *testing.T) {
	t.Parallel()
	full := DefaultSpec()
	full.Image = ImageRef{ImageDir, "/srv/a b"}
	full.TimeoutStartSec, full.PrivateUsers = Infinity, PrivateUsers{Mode: UsersBase, Base: 1 << 20}
	full.DependsOn, full.Labels = []Name{"db"}, Labels{"a": ""}
	full.Limits = Limits{MemoryMax: 1<<30 + 1, CPUQuota: 250, TasksMax: 1<<64 - 1, IOWeight: 10_000}
	full.HealthCheck = &HealthCheck{HTTP: "http://x/", Interval: Duration(90 * time.Second)}
	full.BindMounts = map[string]BindMount{"/srv": {HostPath: "/a", IsReadOnly: true, Create: true}}
	full.ForwardPorts = []ForwardPort{{Protocol: "udp", HostPort: Port(65535), ContainerPort: 1}}
	full.ExtraVeths = map[string]ExtraVeth{"a": {ForwardPorts: []ForwardPort{{Protocol: "tcp", HostPort: Port(1)}}}}
	full.AdditionalCapabilities = []Capability{"all"}
	full.Environment = map[string]string{"A": "\u2028<&>\t"}
	for _, want := range []Spec{DefaultSpec(), full} {
		if want.Image.IsZero() { // the zero reference is left out
			if b, err := json.Marshal(want); err != nil || strings.Contains(string(b), "image") {
				t.Errorf("%s: %v", b, err)
			}
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Spec
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v (%v)\nwant %+v", got, err, want)
		}
	}
}

// TestTextTypes holds that a value that is not valid is not read, and leaves
// what was there before.
func TestTextTypes(t *testing.T) {
	t.Parallel()
	s := DefaultSpec()
	for _, text := range []string{
		`{"image":"x"}`, `{"image":""}`, `{"timeoutStartSec":"soon"}`, `{"timeoutStartSec":5}`, `{"privateUsers":"maybe"}`, `{"dependsOn":["-"]}`,
		`{"limits":{"memoryMax":"many"}}`, `{"limits":{"cpuQuota":"50"}}`, `{"limits":{"ioWeight":70000}}`, `{"additionalCapabilities":["CAP_X"]}`,
	} {
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s is read", text)
		}
	}
	s.DependsOn, s.AdditionalCapabilities = nil, nil // of which the places were made
	if want := DefaultSpec(); !reflect.DeepEqual(s, want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// TestKeysAreDocumented holds what the reference manual is made of.
func TestKeysAreDocumented(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range Keys() {
		if seen[k.Name] || k.Type == "" || !strings.HasSuffix(k.Doc, ".") || k.Effect == EffectNone {
			t.Errorf("%+v", k)
		}
		seen[k.Name] = true
	}
}

func TestDigestShort(t *testing.T) {
	t.Parallel()
	for d, want := range map[Digest]string{"": "", "sha256:abc": "abc", Digest("sha256:" + strings.Repeat("0f", 32)): "0f0f0f0f0f0f"} {
		if got := d.Short(); got != want {
			t.Errorf("%q: %q", d, got)
		}
	}
}
