package cache

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestEncodings: what a server has put around a file comes off, and what is the
// file's own does not.
func TestEncodings(t *testing.T) {
	t.Parallel()
	for encoding, want := range map[string]string{
		"": "", "identity": "", "gzip": "", "X-GZip": "", "zstd": "", "xz": "", "br": `the encoding "br": gzip, zstd and xz are known`, "gzip, zstd": `"gzip, zstd"`,
	} {
		for _, compression := range []string{"none", "xz"} {
			server := httptest.NewServer(encoder{t, filled(t, compression), encoding})
			b, err := fetch(t.Context(), open(t, server.URL), same)
			if want == "" && (err != nil || !bytes.Equal(b, content())) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%q, %s: %d bytes, %v", encoding, compression, len(b), err)
			}
			server.Close()
		}
	}
}

// encoder sends the files of a directory in an encoding. Those whose names tell
// it have it already.
type encoder struct {
	t        *testing.T
	dir      string
	encoding string
}

func (e encoder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if got := r.Header.Get("Accept-Encoding"); got != "identity" {
		e.t.Errorf("it accepts %q", got)
	}
	b, err := os.ReadFile(filepath.Join(e.dir, r.URL.Path))
	program := map[string]string{"gzip": "gzip", "X-GZip": "gzip", "zstd": "zstd", "xz": "xz"}[e.encoding]
	if err == nil && program != "" && (program != "xz" || filepath.Ext(r.URL.Path) != ".xz") {
		cmd := exec.Command(program, "-c")
		cmd.Stdin = bytes.NewReader(b)
		b, err = cmd.Output()
	}
	if err != nil {
		e.t.Error(err)
	}
	if e.encoding != "" {
		w.Header().Set("Content-Encoding", e.encoding)
	}
	_, _ = w.Write(b)
}
