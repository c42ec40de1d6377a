package systemd

import "github.com/berth-containers/berth/internal/supervise"

// Carries implements supervise.Native: what the unit of a container has for a
// key. The versions are those of systemd.exec(5), systemd.service(5) and
// systemd.resource-control(5).
func (s *Supervisor) Carries(key string) (supervise.Carried, bool) {
	c, ok := map[string]supervise.Carried{
		"limits":          {By: "MemoryMax=, CPUQuota=, TasksMax=, IOWeight= of its unit", Since: 231},
		"allowedDevices":  {By: "DeviceAllow= of its unit", Since: 208},
		"credentials":     {By: "LoadCredential=, LoadCredentialEncrypted= of its unit", Since: 250},
		"timeoutStartSec": {By: "TimeoutStartSec= of its unit", Since: 188},
	}[key]
	return c, ok
}
