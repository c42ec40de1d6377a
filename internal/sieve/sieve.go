// Package sieve keeps the system call filters that systemd-nspawn has compiled
// for a guest, so that the next guest of the same kind does not wait for them
// to be compiled again, which takes some 35 ms. It knows for which question and
// by which files of the host they were made; who installs them is not its
// business.
package sieve

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-containers/berth/internal/namespace"
	"github.com/berth-containers/berth/internal/state"
)

// Question is all that filters depend on, beside the content of the programs
// that make them.
type Question struct {
	Program string   // systemd-nspawn
	Version int      // of systemd-nspawn
	Args    []string // of it, without those that tell guests of one kind apart
	Env     []string // of it, in the same way
	Kernel  []string // release, version and machine of uname(2)
}

// Ask is the question for a systemd-nspawn that this kernel runs.
func Ask(program string, version int, args, env []string) (Question, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Question{}, os.NewSyscallError("uname", err)
	}
	return Question{Program: program, Version: version, Args: args, Env: env,
		Kernel: []string{unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Version[:]), unix.ByteSliceToString(u.Machine[:])}}, nil
}

// Key is the name under which the answer is kept, in hexadecimal digits.
func (q Question) Key() string {
	b, err := json.Marshal(q)
	if err != nil {
		panic(err) // there are but strings and a number
	}
	return digest(b)
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Sieve is a list of filters as namespace.AppendFilters writes them.
type Sieve []byte

// Sum tells one Sieve from another, in hexadecimal digits.
func (s Sieve) Sum() string { return digest(s) }

// Store is a directory of what was kept, which only the host's root may reach.
// It may not exist yet.
type Store struct{ Dir string }

// kept is a file of a Store.
type kept struct {
	Key    string `json:"key"`
	Files  []file `json:"files"` // by which the filters were made
	Sieve  Sieve  `json:"sieve"` // empty where there is nothing to be had
	Digest string `json:"digest"`
}

// seal is a Digest of everything else.
func (k kept) seal() (string, error) {
	k.Digest = ""
	b, err := json.Marshal(k)
	return digest(b), err
}

func (s Store) path(key string) string { return filepath.Join(s.Dir, key+".json") }

// Find gives what is kept for a question; known is false where nothing is, or
// it was made by files that are others by now, or is damaged. An empty Sieve
// says that trying again is of no use.
func (s Store) Find(key string) (found Sieve, known bool) {
	var k kept
	if err := state.ReadJSON(s.path(key), &k); err != nil || k.Key != key || len(k.Files) == 0 {
		return nil, false
	}
	sum, err := k.seal()
	if err != nil || sum != k.Digest || len(k.Sieve) > 0 && !slices.ContainsFunc(k.Files, file.compiler) {
		return nil, false
	}
	for _, f := range k.Files {
		if now, err := look(f.Path); err != nil || now != f {
			return nil, false
		}
	}
	if filters, err := namespace.ParseFilters(k.Sieve); err != nil || len(filters) == 0 && len(k.Sieve) > 0 {
		return nil, false
	}
	return k.Sieve, true
}

// keep puts an answer into the store.
func (s Store) keep(k kept) (err error) {
	if k.Digest, err = k.seal(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	return state.WriteRuntimeJSON(s.path(k.Key), k)
}

// file is one of the host, as it was.
type file struct {
	Path    string `json:"path"`
	Device  uint64 `json:"device"`
	Inode   uint64 `json:"inode"`
	Size    int64  `json:"size"` // bytes
	Written int64  `json:"written"`
	Changed int64  `json:"changed"` // both in nanoseconds since 1970
}

// compiler reports whether this is the library that compiles filters.
func (f file) compiler() bool { return strings.HasPrefix(filepath.Base(f.Path), "libseccomp.so") }

func look(path string) (file, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return file{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return file{}, &fs.PathError{Op: "stat", Path: path, Err: errors.New("it is not a file")}
	}
	return file{Path: path, Device: uint64(st.Dev), Inode: st.Ino, Size: st.Size, Written: st.Mtim.Nano(), Changed: st.Ctim.Nano()}, nil
}
