# What demo.sh and clean.sh have in common, read in this directory. All that berth
# keeps for the demo lies below BERTH_ROOT; Nix builds into /nix/store.
export BERTH_ROOT=/var/lib/berth-demo-nixos
work=$BERTH_ROOT/example
PATH=$(cd ../../bin && pwd):$PATH

# Nix builds as root with programs of this machine, which a sandbox would hide,
# and asks no cache.
export HOME=$BERTH_ROOT NIX_REMOTE= NIX_PATH= NIX_CONFIG="build-users-group =
sandbox = false
substituters ="
