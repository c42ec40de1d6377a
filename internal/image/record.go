package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/berth-containers/berth/container"
	"github.com/berth-containers/berth/internal/state"
)

// formatVersion is that of the JSON files of a store.
const formatVersion = 1

// refRecord says what a reference gave when it was last imported.
type refRecord struct {
	Digest      container.Digest `json:"digest"`
	Fingerprint string           `json:"fingerprint"` // of the source, before it was read
	Imported    time.Time        `json:"imported"`
}

// refsRecord is refs.json.
type refsRecord struct {
	Version int                  `json:"version"`
	Refs    map[string]refRecord `json:"refs"`
}

// imageRecord is image.json.
type imageRecord struct {
	Version int              `json:"version"`
	Digest  container.Digest `json:"digest"`
	Size    int64            `json:"size"`
	Created time.Time        `json:"created"`
	OS      string           `json:"os,omitempty"`
}

func (s *Store) readRefs() (refsRecord, error) {
	r := refsRecord{Version: formatVersion, Refs: map[string]refRecord{}}
	err := state.ReadJSON(s.refsFile(), &r)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = checkVersion(s.refsFile(), r.Version)
	}
	return r, err
}

func checkVersion(path string, v int) error {
	if v == formatVersion {
		return nil
	}
	return &container.Error{
		Subject: path,
		Err:     fmt.Errorf("version %d of the format is not known", v),
		Hint:    "a newer berth wrote it: use that one",
	}
}

// changeRefs rewrites refs.json; the store must be locked.
func (s *Store) changeRefs(change func(map[string]refRecord)) error {
	r, err := s.readRefs()
	if err != nil {
		return err
	}
	if r.Refs == nil {
		r.Refs = map[string]refRecord{}
	}
	change(r.Refs)
	return state.WriteJSON(s.refsFile(), r)
}

// setRef records what an import gave.
func (s *Store) setRef(ctx context.Context, ref container.ImageRef, r refRecord) error {
	l, err := s.lock(ctx)
	if err != nil {
		return err
	}
	err = s.changeRefs(func(refs map[string]refRecord) { refs[ref.String()] = r })
	return errors.Join(err, l.Unlock())
}

// load reads one image; the error matches fs.ErrNotExist where there is none.
func (s *Store) load(d container.Digest, refs refsRecord) (Image, error) {
	var r imageRecord
	file := filepath.Join(s.image(d), "image.json")
	if err := state.ReadJSON(file, &r); err != nil {
		return Image{}, err
	}
	if err := checkVersion(file, r.Version); err != nil {
		return Image{}, err
	}
	img := Image{
		Digest: d, Size: r.Size, Created: r.Created, OS: r.OS,
		Refs: []string{}, Rootfs: s.rootfs(d),
	}
	for ref, rec := range refs.Refs {
		if rec.Digest == d {
			img.Refs = append(img.Refs, ref)
		}
	}
	slices.Sort(img.Refs)
	return img, nil
}

// List gives all images, by their first reference and then their digest;
// those without a reference come last.
func (s *Store) List() ([]Image, error) {
	refs, err := s.readRefs()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.images())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var list []Image
	for _, e := range entries {
		d, err := container.ParseDigest(e.Name())
		if err != nil {
			continue // not ours
		}
		img, err := s.load(d, refs)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		} else if err != nil {
			return nil, err
		}
		list = append(list, img)
	}
	slices.SortFunc(list, func(a, b Image) int { return strings.Compare(a.sortKey(), b.sortKey()) })
	return list, nil
}

func (i Image) sortKey() string {
	if len(i.Refs) == 0 {
		return "~" + string(i.Digest)
	}
	return i.Refs[0] + "\x00" + string(i.Digest)
}

// Find gives the image that a user means: by a reference, a digest, or the
// first digits of one, four at least.
func (s *Store) Find(name string) (Image, error) {
	list, err := s.List()
	if err != nil {
		return Image{}, err
	}
	var found []Image
	hex := strings.TrimPrefix(name, "sha256:")
	for _, img := range list {
		if slices.Contains(img.Refs, name) || len(hex) >= 4 && strings.HasPrefix(img.Digest.Hex(), hex) {
			found = append(found, img)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return Image{}, &container.Error{Subject: name, Err: ErrNotFound, Hint: "berth image ls shows those that are there"}
	default:
		return Image{}, &container.Error{
			Subject: name, Err: fmt.Errorf("%d images have a digest that starts so", len(found)),
			Hint: "write more digits of the digest",
		}
	}
}

// ErrNotFound says that the store has no such image.
var ErrNotFound = errors.New("no such image")
