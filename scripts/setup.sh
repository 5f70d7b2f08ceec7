#!/bin/bash
# Installs the Debian 12 packages that a part of the work needs, and nothing when all are there.
# Runs as root or through sudo. Names each package before it installs it.
#
#   scripts/setup.sh [build|test|tidy|bench|matrix|package]...   (build)
set -euo pipefail

build=(g++ cmake ninja-build pkg-config libboost-dev liblz4-dev libzstd-dev libxxhash-dev libssl-dev
       libpq-dev libyaml-cpp-dev nlohmann-json3-dev libcli11-dev libfmt-dev libspdlog-dev
       libhowardhinnant-date-dev prometheus-cpp-dev libgtest-dev libgmock-dev libbenchmark-dev libcurl4-openssl-dev
       tzdata)
build_optional=(ccache mold)  # a quicker build; it works without them
test=(postgresql-15 postgresql-client-15 prometheus python3-aiosmtpd openssl curl)
tidy=(clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev)
bench=(pgbackrest lz4)
package=(dpkg-dev debootstrap procps)

wanted=()
optional=()
# "name" stands for the package; "command:name" for a program, whoever brought it.
for part in "${@:-build}"; do
  case $part in
    build) wanted+=("${build[@]}"); optional+=("${build_optional[@]}") ;;
    test) wanted+=("${build[@]}" "${test[@]}"); optional+=("${build_optional[@]}") ;;
    tidy) wanted+=("${build[@]}" "${tidy[@]}"); optional+=("${build_optional[@]}") ;;
    bench) wanted+=("${build[@]}" "${test[@]}" "${bench[@]}"); optional+=("${build_optional[@]}") ;;
    package) wanted+=("${build[@]}" "${package[@]}"); optional+=("${build_optional[@]}") ;;
    matrix) wanted+=("${build[@]}" "${test[@]}" command:node command:npm)
            optional+=("${build_optional[@]}") ;;
    *) echo "usage: $0 [build|test|tidy|bench|matrix|package]..." >&2; exit 2 ;;
  esac
done

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p')

missing() {  # of the arguments, those that are not there
  local name
  for name in "$@"; do
    case $name in
      command:node) command -v node >/dev/null || echo nodejs ;;
      command:*) command -v "${name#command:}" >/dev/null || echo "${name#command:}" ;;
      *) grep -qxF "$name" <<<"$installed" || echo "$name" ;;
    esac
  done | sort -u
}

mapfile -t needed < <(missing "${wanted[@]}")
mapfile -t useful < <(missing "${optional[@]}")
[[ ${#needed[@]} -gt 0 || ${#useful[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if command -v sudo >/dev/null; then
    as_root=(sudo)
  elif [[ ${#needed[@]} -gt 0 ]]; then
    echo "$0: these Debian packages are missing: ${needed[*]}" >&2
    echo "Install them as root: apt-get install --no-install-recommends ${needed[*]}" >&2
    exit 1
  else
    exit 0
  fi
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
    -o Acquire::Retries=3 "$@" </dev/null
}

# A package that starts a server on its own is told not to: the tests bring up theirs.
prevent_main_cluster() {
  local configuration=/etc/postgresql-common/createcluster.conf
  if ! grep -q '^ *create_main_cluster' "$configuration"; then
    echo "setting create_main_cluster = false in $configuration: no server is set up by itself"
    echo 'create_main_cluster = false' | "${as_root[@]}" tee -a "$configuration" >/dev/null
  fi
}

# Prometheus' package starts its service, on a port that is open to all: masked, so that it doesn't
# come up with the next boot either, and not started meanwhile.
prevent_prometheus_service() {
  local unit=/etc/systemd/system/prometheus.service policy=/usr/sbin/policy-rc.d
  if [[ ! -e $unit && ! -L $unit ]]; then
    echo "masking $unit: only the tests start Prometheus (to use it: systemctl unmask prometheus)"
    "${as_root[@]}" mkdir -p "${unit%/*}"
    "${as_root[@]}" ln -s /dev/null "$unit"
  fi
  [[ -e $policy ]] && return
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f '"$policy" EXIT
}

# Package lists that are not there, or too old to install from, are fetched once.
updated=0
install() {
  [[ $# -gt 0 ]] || return 0
  echo "installing Debian packages: $*"
  if [[ $updated == 0 ]] && ! apt --simulate install --no-install-recommends "$@" >/dev/null 2>&1; then
    apt update
    updated=1
  fi
  apt install --no-install-recommends -y "$@" && return
  [[ $updated == 0 ]] || return 1
  apt update && updated=1
  apt install --no-install-recommends -y "$@"
}

if [[ ${#needed[@]} -gt 0 ]]; then
  if [[ " ${needed[*]} " == *" postgresql-15 "* ]]; then
    install postgresql-common
    prevent_main_cluster
  fi
  [[ " ${needed[*]} " != *" prometheus "* ]] || prevent_prometheus_service
  install "${needed[@]}"
fi
if [[ ${#useful[@]} -gt 0 ]] && ! install "${useful[@]}"; then
  echo "could not install ${useful[*]}: going on without"
fi
