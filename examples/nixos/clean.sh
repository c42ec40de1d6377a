#!/bin/sh
# Takes away what demo.sh made, and nothing else.
set -eu

cd "$(dirname "$0")"
. ./environment.sh
[ -d "$BERTH_ROOT" ] || exit 0

# What was built, and what that was built from.
built=$(find "$BERTH_ROOT/nixpkgs.base" "$BERTH_ROOT/var/lib/berth/systems" -type l -lname '/nix/store/*' -exec readlink {} + 2>/dev/null || :)
made=
[ -z "$built" ] || made=$(nix-store --query --requisites --include-outputs $(nix-store --query --deriver $built))
berth destroy --all --yes
rm -f "$BERTH_ROOT/nixpkgs.base"

# Where there was no Nix before, all goes that nobody needs. Elsewhere what was
# made for the demo goes, but for what others refer to: users before the used.
if [ -e "$BERTH_ROOT/no-nix-before" ]; then
	nix-store --gc >/dev/null 2>&1
	[ -n "$(find /nix/store -mindepth 1 -maxdepth 1 ! -name .links)" ] || rm -rf --one-file-system /nix
elif [ -n "$made" ]; then
	nix-store --gc --print-dead >"$BERTH_ROOT/dead" 2>/dev/null
	echo "$made" | tac | grep -Fxf "$BERTH_ROOT/dead" |
		xargs -r -n 1 nix-store --option keep-derivations false --delete >/dev/null 2>&1 || :
fi
rm -rf --one-file-system "$BERTH_ROOT"
