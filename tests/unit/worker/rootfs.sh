#!/bin/sh
# Makes a small root filesystem below $1 from the programs of this machine, owned by user and group $2.
set -eu
root=$1
owner=$2

mkdir -p "$root/bin" "$root/etc" "$root/proc" "$root/dev" "$root/sys" "$root/tmp" "$root/root" "$root/home/app"
for name in sh cat dd echo env false head id ln ls mkdir pwd seq sleep stty touch true; do
  program=$(readlink -f "/bin/$name")
  cp "$program" "$root/bin/$name"
  for library in $(ldd "$program" | grep -o '/[^ )]*'); do
    mkdir -p "$root$(dirname "$library")"
    [ -e "$root$library" ] || cp -L "$library" "$root$library"
  done
done
printf 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:app:/home/app:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nteam:x:1234:\n' >"$root/etc/group"
printf '#!/no/such/interpreter\n' >"$root/bin/script"
chmod 755 "$root" "$root/bin/script"
chmod 1777 "$root/tmp"
chown -R "$owner:$owner" "$root"
