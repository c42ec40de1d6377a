package engine

import (
	"path"
	"testing"
)

func TestLiterally(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a.service", `dev-disk-by\x2dlabel-x.device`, `user@1000.service`, `a*[b?.service`, `\`} {
		if ok, err := path.Match(literally(unit), unit); !ok || err != nil {
			t.Errorf("%s: %v, %v", unit, ok, err)
		}
	}
	if ok, _ := path.Match(literally("a*.service"), "ab.service"); ok {
		t.Error("a* matches ab")
	}
}
