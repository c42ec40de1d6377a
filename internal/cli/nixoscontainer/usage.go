package nixoscontainer

const usage = `Usage: nixos-container list
       nixos-container create NAME [OPTION...]
         [--nixos-path PATH]        where NixOS is (<nixpkgs/nixos>)
         [--system-path PATH]       a system that is built already
         [--config TEXT]            options of NixOS
         [--config-file PATH]       a module of NixOS
         [--flake REF[#ATTR]]       nixosConfigurations.ATTR of a flake (container)
         [--ensure-unique-name]     put a number behind NAME if it is taken, and print the name
         [--auto-start]             start it when the machine boots
         [--bridge INTERFACE]       join a bridge of the host
         [--port [PROTO:]HOST[:GUEST],...]
         [--host-address ADDRESS]   of a link of the two, with
         [--local-address ADDRESS]  the guest's
       nixos-container destroy NAME
       nixos-container restart NAME
       nixos-container start NAME
       nixos-container stop NAME
       nixos-container terminate NAME
       nixos-container status NAME
       nixos-container update NAME
         [--config TEXT] [--config-file PATH] [--flake REF[#ATTR]] [--nixos-path PATH]
       nixos-container login NAME
       nixos-container root-login NAME
       nixos-container run NAME -- COMMAND [ARGUMENT...]
       nixos-container show-ip NAME
       nixos-container show-host-key NAME

Options of Nix are passed on: --log-format, --option, --impure, --update-input,
--override-input, --commit-lock-file, --no-registries, --no-update-lock-file,
--no-write-lock-file, --no-allow-dirty, --recreate-lock-file.

This is berth: berth --help shows what else it does with the same containers.
`
