#!/bin/bash
# Makes a Debian package of the programs in build/release:
#   scripts/package.sh [DIRECTORY]       into build/package; after scripts/build.sh release
# Prints the package's path.
set -euo pipefail
cd "$(dirname "$0")/.."
into=${1:-build/package}
build=${PITR_PACKAGE_BUILD:-build/release}
version=$(sed -n 's/^project(pitr VERSION \([0-9.]*\).*/\1/p' CMakeLists.txt)
architecture=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

DESTDIR=$root/files cmake --install "$build" --prefix /usr --strip >/dev/null
# Where Debian has units, and the configuration where pitr looks for it.
mkdir -p "$root/files/lib" "$root/files/etc/pitr"
[[ ! -d $root/files/usr/lib/systemd ]] || mv "$root/files/usr/lib/systemd" "$root/files/lib/systemd"
rmdir --ignore-fail-on-non-empty "$root/files/usr/lib" 2>/dev/null || true
sed -i 's|^ExecStart=.*/pitr-agent|ExecStart=/usr/bin/pitr-agent|; s|^Documentation=.*|Documentation=file:/usr/share/doc/pitr/README.md|' \
  "$root/files/lib/systemd/system/pitr-agent.service"
install -m 0644 packaging/pitr.yaml "$root/files/etc/pitr/pitr.yaml"

# The libraries that the programs need, as packages with versions.
mkdir -p "$root/debian" "$root/files/DEBIAN"
printf 'Source: pitr\n\nPackage: pitr\nArchitecture: any\n' >"$root/debian/control"
depends=$(cd "$root" && dpkg-shlibdeps -O --ignore-missing-info files/usr/bin/* 2>/dev/null |
  sed -n 's/^shlibs:Depends=//p')
[[ -n $depends ]] || { echo "$0: dpkg-shlibdeps found no libraries" >&2; exit 1; }

sed "s|@version@|$version|; s|@architecture@|$architecture|; s|@depends@|$depends|" \
  packaging/debian/control.in >"$root/files/DEBIAN/control"
echo /etc/pitr/pitr.yaml >"$root/files/DEBIAN/conffiles"
install -m 0755 packaging/debian/postinst packaging/debian/prerm packaging/debian/postrm \
  "$root/files/DEBIAN/"
mkdir -p "$into"
package=$into/pitr_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$root/files" "$package" >/dev/null
echo "$package"
