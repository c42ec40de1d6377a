package guest

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Account is a user of the guest, from its passwd(5) and group(5).
type Account struct {
	Name     string
	UID, GID int
	Groups   []int // supplementary
	Home     string
	Shell    string
	Number   bool // it is a number that the guest has no name for
}

// maxID is the greatest user number a guest may have.
const maxID = 1<<16 - 1

const superuser = "root"

// rootAccount is what a guest has whose passwd file does not say more.
func rootAccount() Account { return Account{Name: superuser, Home: "/root", Shell: "/bin/sh"} }

// Account looks up a user of the guest by name or number.
func (g *Guest) Account(user string) (Account, error) {
	passwd, err := g.readFile("etc/passwd")
	if err != nil && user == superuser {
		return rootAccount(), nil
	} else if err != nil {
		return Account{}, err
	}
	a, ok := findAccount(passwd, user)
	if !ok {
		return Account{}, fmt.Errorf("the guest has no user %q", user)
	}
	if group, err := g.readFile("etc/group"); err == nil {
		a.Groups = groupsOf(group, a)
	}
	return a, nil
}

// findAccount finds a user by name or number in a passwd file. A number
// without a line is an account all the same, and root is the user 0 whatever
// the file says, as for systemd: who repairs the guest is that.
func findAccount(passwd []byte, user string) (Account, bool) {
	number, err := strconv.Atoi(user)
	isNumber := err == nil && number >= 0 && number <= maxID
	for line := range bytes.Lines(passwd) {
		f := strings.Split(strings.TrimRight(string(line), "\r\n"), ":")
		if len(f) != 7 || strings.ContainsFunc(f[0], isControl) {
			continue
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil || uid < 0 || uid > maxID || gid < 0 || gid > maxID {
			continue
		}
		if user == superuser && uid != 0 {
			continue
		}
		if f[0] == user || isNumber && uid == number {
			return Account{Name: f[0], UID: uid, GID: gid, Home: absolute(f[5], "/"), Shell: absolute(f[6], "/bin/sh")}, true
		}
	}
	if user == superuser {
		return rootAccount(), true
	}
	if isNumber {
		return Account{Name: user, UID: number, GID: number, Home: "/", Shell: "/bin/sh", Number: true}, true
	}
	return Account{}, false
}

// absolute is p where that is an absolute path without control characters.
func absolute(p, otherwise string) string {
	if !path.IsAbs(p) || strings.ContainsFunc(p, isControl) {
		return otherwise
	}
	return p
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// groupsOf are the numbers of the groups that name the account as a member.
func groupsOf(group []byte, a Account) []int {
	var out []int
	for line := range bytes.Lines(group) {
		f := strings.Split(strings.TrimRight(string(line), "\r\n"), ":")
		if len(f) != 4 || !slices.Contains(strings.Split(f[3], ","), a.Name) {
			continue
		}
		if gid, err := strconv.Atoi(f[2]); err == nil && gid >= 0 && gid <= maxID && len(out) < 64 {
			out = append(out, gid)
		}
	}
	return out
}
