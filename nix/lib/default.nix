# What the modules compute, with nothing but what Nix itself has.
{
  containers = import ./containers.nix;
  nspawn = import ./nspawn.nix;
  ports = import ./ports.nix;
  reference = import ./reference.nix;
}
// import ./values.nix
