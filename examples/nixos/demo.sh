#!/bin/sh
# Shows how berth takes a NixOS guest from one system to the next, on a copy of
# the files beside this one. clean.sh takes everything away.
set -eu

cd "$(dirname "$0")"
. ./environment.sh
here=$PWD
page=http://127.0.0.1:18081/
began=$(date +%s)
client=

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
fail() { echo "demo: $*" >&2; exit 1; }
has() { case $1 in *"$2"*) ;; *) fail "expected \"$2\" in: $1" ;; esac; }
trap '[ -z "$client" ] || kill "$client" 2>/dev/null || :' EXIT
trap 'exit 130' INT TERM

fetch() { curl --silent --show-error --fail --max-time 30 "$page"; }

# A client that asks again and again, and counts on an answer each time.
ask() {
	rm -f enough
	(until [ -e enough ]; do fetch || echo refused; done) >answers 2>&1 &
	client=$!
}
# answered GENERATION...: it was answered by these, and never refused.
answered() {
	touch enough
	wait "$client"
	client=
	echo "What a client got that asked all the time:"
	sort answers | uniq -c
	for n; do has "$(cat answers)" "Generation $n<"; done
	[ -z "$(grep -v '^<h1>Generation [0-9]*</h1>$' answers)" ] || fail "a request was refused"
}

# tell: which boot the guest is in, and the processes of its services.
tell() {
	boot=$(berth exec web -- cat /proc/sys/kernel/random/boot_id)
	steady=$(berth exec web -- systemctl show -P MainPID steady)
	web=$(berth exec web -- systemctl show -P MainPID web)
	echo "boot $boot, process of steady $steady, of web $web"
}

mkdir -p "$BERTH_ROOT"
[ -e /nix ] || touch "$BERTH_ROOT/no-nix-before"
# What was built before need not be built again.
berth destroy --all --yes 2>/dev/null
rm -rf "$work"
mkdir "$work"
cp ./*.nix berth.yaml page.html serve.pl "$work"

step "A NixOS guest: a module, which this machine's Nix builds"
run cat berth.yaml web.nix
cd "$work"
if [ ! -d ../nixpkgs ]; then
	echo "(In the place of nixpkgs: a small one of Debian's packages, which is made first.)"
	"$here/../../test/mini-nixos/standin" "$BERTH_ROOT/nixpkgs"
fi
ln -s ../nixpkgs nixpkgs
run berth apply -f berth.yaml --yes
run berth exec web -- systemctl is-system-running --wait
echo "$ curl $page"
fetch
has "$(fetch)" "Generation 1"
tell
boot1=$boot steady1=$steady web1=$web

step "Another page: another system, which the guest gets while it runs"
run sed -i "s/Generation 1/Generation 2/" page.html
run berth plan -f berth.yaml
ask
run berth apply -f berth.yaml --yes
has "$(fetch)" "Generation 2"
answered 1 2
tell
[ "$boot" = "$boot1" ] || fail "the guest has booted anew"
[ "$steady" = "$steady1" ] || fail "a service that had not changed was restarted"
[ "$web" != "$web1" ] || fail "the changed service was not restarted"
echo "It has not booted, and only what changed was restarted."

step "A system that does not work is taken back by itself"
run sed -i -e "s/Generation 2/Generation 3/" page.html
run sed -i -e "s|imports = \[ \]|imports = [ ./backup.nix ]|" web.nix
ask
code=0
run berth apply -f berth.yaml --yes || code=$?
echo "(exit code $code)"
[ "$code" = 5 ] || fail "expected exit code 5"
has "$(fetch)" "Generation 2"
answered 2
boot2=$boot steady2=$steady
tell
[ "$boot $steady" = "$boot2 $steady2" ] || fail "the guest is not what it was"
generations=$(run berth generations web)
echo "$generations"
has "$generations" "backup.service failed"

cat <<EOF

That took $(($(date +%s) - began)) s. To go on by hand:

    cd $here && . ./environment.sh && cd $work
    berth rollback web --to 1                to the first page
    berth shell web                          a root shell in the guest
    \$EDITOR web.nix && berth apply -f berth.yaml
                                             mend what is broken, or something of your own

With nixpkgs at hand, examples/nixos/flake.nix is the same guest: berth apply -f flake.nix.
EOF
