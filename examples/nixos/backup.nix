# A service that cannot work: there is no such disk.
{ pkgs, ... }:
{
  systemd.services.backup = {
    description = "Backup to a disk";
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "${pkgs.coreutils}/bin/ls /mnt/backup";
    };
    wantedBy = [ "multi-user.target" ];
  };
}
