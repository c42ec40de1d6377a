package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/berth-containers/berth/internal/archive"
)

// What a server puts around a file is no part of that: Nix fills buckets of S3
// so, where its setting narinfo-compression is, and they send it to everybody.
// See RFC 9110, section 8.4.

// encodingOf is the encoding in which a server sends a file; "" where it sends
// it as it is. One that is of the file itself, such as that of a name with .gz
// by some servers, is none.
func encodingOf(resp *http.Response, u *url.URL) string {
	e := strings.ToLower(strings.TrimSpace(strings.Join(resp.Header.Values("Content-Encoding"), ",")))
	own := map[string]string{".gz": "gzip", ".zst": "zstd", ".xz": "xz", ".bz2": "bzip2"}[path.Ext(u.Path)]
	if e = strings.TrimPrefix(e, "x-"); e == "identity" || e == own {
		return ""
	}
	return e
}

// decode is what a server has put an encoding around.
func decode(ctx context.Context, d *download) (io.ReadCloser, error) {
	switch d.encoding {
	case "gzip", "zstd", "xz":
	default:
		return nil, fmt.Errorf("%s: the server sends it in the encoding %q: gzip, zstd and xz are known", d.url.Redacted(), d.encoding)
	}
	plain, err := archive.Decompress(ctx, d, "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.url.Redacted(), err)
	}
	return &decoded{plain, d}, nil
}

// decoded is a download without its encoding.
type decoded struct {
	io.ReadCloser
	from *download
}

// Close ends the download.
func (d *decoded) Close() error { return errors.Join(d.ReadCloser.Close(), d.from.Close()) }
