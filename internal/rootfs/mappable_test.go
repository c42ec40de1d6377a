package rootfs

import (
	"errors"
	"os"
	"testing"
)

func TestMappable(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/var/tmp", "berth-mappable-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, below := range []bool{false, true} {
		if err := Mappable(dir, below); err != nil {
			t.Errorf("%s: %v", dir, err)
		}
		var cannot *mapError
		if err := Mappable("/proc/self", below); !errors.As(err, &cannot) {
			t.Errorf("/proc: %v", err)
		}
	}
	if err := Mappable(dir+"/none", false); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a path that there is not: %v", err)
	}
}
