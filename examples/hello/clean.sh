#!/bin/sh
# Takes away what demo.sh made, and nothing else.
set -eu

cd "$(dirname "$0")"
export BERTH_ROOT=/var/lib/berth-demo
if [ -d "$BERTH_ROOT" ]; then
	../../bin/berth destroy --all --yes
	rm -rf --one-file-system "$BERTH_ROOT"
fi
[ ! -e www/index.html.orig ] || mv www/index.html.orig www/index.html
rm -rf --one-file-system data
