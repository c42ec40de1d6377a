// Package packages tests berth's packages as their users have them: one is
// installed, upgraded while a container runs, and removed, on a host that is
// made for that; see test/hosts. With it, no test runs on the machine itself.
package packages
