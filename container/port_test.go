package container

import "testing"

func TestHostPort(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"22": "tcp/22", "tcp/22": "tcp/22", "udp/53": "udp/53", "8000-8010": "tcp/8000-8010", "1-65535": "tcp/1-65535", "all": "all",
		"": "", "0": "", "65536": "", "sctp/1": "", "tcp/": "", "9-8": "", "-1": "", "tcp/1-": "", "tcp/all": ""} {
		var p HostPort
		err := p.UnmarshalText([]byte(in))
		if want == "" {
			if err == nil || p != (HostPort{}) {
				t.Errorf("%q: %v, %v", in, p, err)
			}
			continue
		}
		if err != nil || p.String() != want {
			t.Errorf("%q: %v, %v, want %s", in, p, err, want)
		}
	}
}
