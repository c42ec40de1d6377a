package declare

import (
	"fmt"
	"strings"

	"github.com/berth-containers/berth/container"
)

// maxArgument is MAX_ARG_STRLEN of the kernel, without the terminating zero.
const maxArgument = 128<<10 - 1

func bindMounts() codec[map[string]container.BindMount] {
	type bind = container.BindMount
	one := object("a map such as { hostPath: ./data }", bind{IsReadOnly: true}, nil,
		key("hostPath", hostPath(), func(b *bind) *string { return &b.HostPath }),
		key("isReadOnly", boolean(), func(b *bind) *bool { return &b.IsReadOnly }),
		key("create", boolean(), func(b *bind) *bool { return &b.Create }),
	)
	one = withHint(one, func(v *value) string {
		if v.kind == kindText {
			return fmt.Sprintf("write { hostPath: %s }", short(v.text))
		}
		return ""
	})
	c := mapOf[bind, map[string]bind]("a map of mount points", "^/.", mountPoint, one)
	read := c.read
	c.read = func(r *reader, at path, v *value) (map[string]bind, bool) {
		m, ok := read(r, at, v)
		for point, b := range m {
			if b.HostPath == "" { // as on NixOS
				b.HostPath = point
				m[point] = b
			}
		}
		return m, ok
	}
	return c
}

// mountPoint is container.ParseMountPoint with advice.
func mountPoint(s string) (string, error) {
	p, err := container.ParseMountPoint(s)
	if err != nil && (s == "/dev" || strings.HasPrefix(s, "/dev/")) {
		err = hinted{err, "for a device, use allowedDevices"}
	}
	return p, err
}

func tmpfs() codec[[]string] {
	entry := plain("a path, such as /tmp or /tmp:size=1G", "^/.", func(s string) (string, error) {
		if _, err := mountPoint(container.TmpfsPath(s)); err != nil {
			return "", err
		}
		return container.ParseTmpfs(s)
	}).codec()
	return listOf("a list of paths", entry, func(s string) string { return itself(container.TmpfsPath(s)) })
}

func allowedDevices() codec[[]container.AllowedDevice] {
	type device = container.AllowedDevice
	one := object("a map such as { node: /dev/fuse, modifier: rw }", device{}, nil,
		need(key("node", plain("a device node", `^(/dev/.|char-|block-)`, container.ParseDeviceNode).codec(), func(d *device) *string { return &d.Node })),
		need(key("modifier", plain("one or more of r, w and m", `^[rwm]{1,3}$`, container.ParseModifier).codec(), func(d *device) *string { return &d.Modifier })),
	)
	return listOf("a list of devices", one, func(d device) string { return itself(d.Node) })
}

func capabilities() codec[[]container.Capability] {
	return listOf("a list of capabilities", words[container.Capability]{
		what: "a capability such as CAP_NET_ADMIN", pattern: `^(all|CAP_[A-Z_]+)$`,
		parse:  func(_ *reader, s string) (container.Capability, error) { return container.ParseCapability(s) },
		format: func(c container.Capability) string { return string(c) },
		hint: func(s string) string {
			if near := nearestCapability(s); near != "" {
				return fmt.Sprintf("did you mean %s?", near)
			}
			return ""
		},
	}.codec(), itself)
}

// nearestCapability knows what is also written: net_admin for CAP_NET_ADMIN.
func nearestCapability(s string) string {
	full := strings.ToUpper(s)
	if !strings.HasPrefix(full, "CAP_") {
		full = "CAP_" + full
	}
	var known []string
	for _, c := range container.Capabilities() {
		known = append(known, string(c))
	}
	return nearest(full, known)
}

func systemCalls() codec[[]string] {
	call := plain("a system call or a group such as @keyring", `^~?@?[a-z0-9_-]+$`, container.ParseSystemCall).codec()
	return listOf("a list of system calls", call, itself[string])
}

func credentials() codec[[]container.Credential] {
	type credential = container.Credential
	one := object("a map such as { id: token, path: ./token }", credential{}, nil,
		need(key("id", plain("the name of a credential", `^[A-Za-z0-9._@-]+$`, container.ParseCredentialID).codec(), func(c *credential) *string { return &c.ID })),
		need(key("path", hostPath(), func(c *credential) *string { return &c.Path })),
		key("encrypted", boolean(), func(c *credential) *bool { return &c.Encrypted }),
	)
	return listOf("a list of credentials", one, func(c credential) string { return itself(c.ID) })
}

func environment() codec[map[string]string] {
	value := plain("", "", func(s string) (string, error) {
		if strings.ContainsAny(s, "\n\r") {
			return "", fmt.Errorf("the value of an environment variable must be one line")
		}
		return noNUL(s)
	})
	value.max = maxArgument
	return mapOf[string, map[string]string]("a map of variables", `^[A-Za-z_][A-Za-z0-9_]*$`, container.ParseVariable, value.codec())
}

func noNUL(s string) (string, error) {
	if strings.Contains(s, "\x00") {
		return "", fmt.Errorf("the text has a zero byte")
	}
	return s, nil
}
