# The builder of base.nix: unpacks $debs into $out and makes that self-contained.
umask 022
mkdir -p "$out/bin" "$out/lib" "$out/share"
ln -s bin "$out/sbin"
ln -s lib "$out/lib64"
ln -s . "$out/usr"
for deb in "$debs"/*.deb; do
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$out" --no-same-owner --no-same-permissions --keep-directory-symlink \
    --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*' --exclude='./usr/share/info*' \
    --exclude='./usr/share/bash-completion*' --exclude='./usr/share/zsh*' --exclude='./usr/lib/*/gconv*' \
    --exclude='./lib/udev/hwdb*' --exclude='./sbin/ip' --exclude='./var*' --exclude='./run*'
done
cd "$out"
rm -rf boot dev home media mnt opt proc root srv sys tmp etc/systemd
chmod -R u+rwX,go+rX .

# Absolute links of packages lead into this path.
find . -type l -lname '/*' | while read -r link; do ln -sfn "$out$(readlink "$link")" "$link"; done

# As on NixOS, systemd finds no unit by itself: a system says which it wants.
mkdir -p example lib/systemd/system
mv lib/systemd/system example/units
rm -rf lib/systemd/system-generators lib/systemd/user-generators example/units/*.wants
for dir in lib/*/security; do ln -s "${dir#lib/}" lib/security; done
ln -sf bash bin/sh
[ ! -e bin/gawk ] || ln -sf gawk bin/awk

first() { head -c "$2" "$1" | tr -d '\0'; }
loader=$(echo "$out"/lib/*/ld-linux-*.so.*)
libraries=$(dirname "$loader")
rpath=$libraries:$libraries/systemd:$out/lib/systemd:$out/lib/nix
find bin lib -type f | while read -r file; do
  case $(first "$file" 4) in
  ?ELF) patchelf --print-interpreter "$file" >/dev/null 2>&1 || continue
    patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$rpath" "$file" ;;
  '#!'*) sed -i "1s,^#! */\(usr/\)\{0\,1\}bin/,#!$out/bin/," "$file" ;;
  esac
done
find lib -name '*.so*' -type f '(' -path '*systemd*' -o -path '*nix*' ')' | while read -r file; do
  patchelf --force-rpath --set-rpath "$rpath" "$file" 2>/dev/null || :
done
find example/units -type f -exec sed -i -E \
  -e "s,^(Exec[A-Za-z]*=[-!+@:]*)([a-z]),\1$out/bin/\2," \
  -e "s,([=!|:@-])/(usr/)?(s?bin|lib)/,\1$out/\3/,g" \
  -e "s,dbus-daemon --system,dbus-daemon --config-file=$out/share/dbus-1/system.conf," {} +
mkdir -p share/dbus-1 lib/tmpfiles.d lib/sysctl.d
find share/dbus-1 lib/tmpfiles.d lib/sysctl.d -type f -exec sed -i -E "s,([=!|:@-])/(usr/)?(s?bin|lib)/,\1$out/\3/,g" {} +
:
