package image

import (
	"path/filepath"

	"github.com/berth-containers/berth/container"
)

func Rootfs(dir string, d container.Digest) string {
	return filepath.Join(dir, "sha256", d.Hex(), "rootfs")
}
