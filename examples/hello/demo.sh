#!/bin/sh
# Shows berth at work on the declaration beside this file. Everything berth
# keeps for it lies below /var/lib/berth-demo; clean.sh takes it away.
set -eu

cd "$(dirname "$0")"
export BERTH_ROOT=/var/lib/berth-demo
PATH=$(cd ../../bin && pwd):$PATH
page=http://127.0.0.1:18080/
began=$(date +%s)

step() { printf '\n== %s\n' "$*"; }
run() { printf '$ %s\n' "$*"; "$@"; }
restore() { [ ! -e www/index.html.orig ] || mv www/index.html.orig www/index.html; }
trap restore EXIT
trap 'exit 130' INT TERM

# The guest is ready before its last service listens.
fetch() { curl --silent --show-error --fail --retry 20 --retry-connrefused --retry-delay 1 --max-time 30 "$page"; }
expect() { printf '%s\n' "$1"; case $1 in *"$2"*) ;; *) echo "demo: expected \"$2\"" >&2; exit 1 ;; esac; }

step "A declaration, and what it takes to get there"
run cat berth.yaml
run berth plan -f berth.yaml

step "Make it so (the first time, Debian is bootstrapped from your mirror)"
run berth apply -f berth.yaml --yes
run berth ls

step "The page comes from a directory of this machine"
expect "$(fetch)" "Hello from a container"
cp -p www/index.html www/index.html.orig
echo '<p>Edited on the host.' >> www/index.html
expect "$(fetch)" "Edited on the host"

step "Root in the guest is not root on this machine"
run berth exec web -- id
run berth exec web -- sleep 1234 &
until pid=$(pgrep -nxf "sleep 1234") && [ "$(stat -c %u "/proc/$pid" 2>/dev/null)" -gt 65535 ]; do sleep 0.1; done
echo "its processes belong to user $(stat -c %u "/proc/$pid") here"
kill -TERM "$pid"; wait || true
run berth exec db -- touch /var/lib/db/written-by-guest-root
run ls -ln data

step "web forgets what was changed in it, db does not"
for c in web db; do run berth exec $c -- touch /root/changed; done
run berth stop web db
run berth start web
expect "web: $(berth exec web -- ls /root/changed 2>&1 || true)" "No such file"
expect "db:  $(berth exec db -- ls /root/changed)" "/root/changed"

cat <<EOF

That took $(($(date +%s) - began)) s. To go on by hand:

    export BERTH_ROOT=$BERTH_ROOT PATH=$(cd ../../bin && pwd):\$PATH
    berth shell web                          a root shell in the guest
    berth plan -f $PWD/berth.yaml
                                             what a change you make there would do
    berth logs -f web                        what its console says
    berth status --all                       more than berth ls tells
    berth why web                            what is wrong, if something is
    berth create mine --image debian:trixie --start

make demo-clean takes it all away.
EOF
