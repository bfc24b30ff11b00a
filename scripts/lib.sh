# shellcheck shell=bash
# Sourced by the scripts here: finding what they need, or getting it, or saying what is missing.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# shellcheck disable=SC2034  # read by test.sh
target="${CARGO_TARGET_DIR:-$root/target}"
# Whatever the scripts install for themselves; `make clean-test` removes it.
tools="$root/target/test-tools"
# The oldest Node.js that the tools' own manifests name.
node_at_least="22.18"

say() { printf '%s\n' "$*" >&2; }

# install <what for> <Debian package>...: with the system's package manager, or says what to do.
install() {
  local purpose="$1"; shift
  local command=(apt-get install -y --no-install-recommends "$@")
  if ! command -v apt-get > /dev/null; then
    say "$purpose is missing. Install it (on Debian and Ubuntu: $*) and run this again."
    return 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo > /dev/null || ! sudo -n true 2> /dev/null; then
      say "$purpose is missing. Run: sudo ${command[*]}"
      return 1
    fi
    command=(sudo -n env DEBIAN_FRONTEND=noninteractive "${command[@]}")
  fi
  say "Installing $*: $purpose is missing."
  local update=(apt-get update -qq)
  [ "$(id -u)" -eq 0 ] || update=(sudo -n "${update[@]}")
  "${update[@]}" >&2 && DEBIAN_FRONTEND=noninteractive "${command[@]}" >&2 && return
  say "Could not install $*. Install it by hand and run this again."
  return 1
}

# need_compiler: aws-lc and SQLite are compiled from C.
need_compiler() {
  command -v cc > /dev/null || install "A C compiler" gcc libc6-dev make
}

# need_python: a virtual environment with the pinned tools; leaves it first in PATH.
need_python() {
  local home="$tools/python" wanted="$root/scripts/tools/requirements.txt"
  if ! command -v python3 > /dev/null || ! python3 -c 'import ensurepip, venv' 2> /dev/null; then
    install "Python 3 with venv" python3 python3-venv || return 1
  fi
  if ! cmp -s "$wanted" "$home/requirements.txt"; then
    rm -rf "$home"
    python3 -m venv "$home" || return 1
    "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$wanted" || return 1
    cp "$wanted" "$home/requirements.txt"
  fi
  case ":$PATH:" in *":$home/bin:"*) ;; *) PATH="$home/bin:$PATH" ;; esac
}

# need_node: the system's Node.js if it is new enough, else one from the Python registry, which
# ships its binaries for every platform; leaves it in PATH.
need_node() {
  has_node && return
  need_python || return 1
  has_node && return
  say "Fetching Node.js: the system has none of at least $node_at_least."
  python -m pip install --quiet --disable-pip-version-check --no-deps \
    -r "$root/scripts/tools/node-requirements.txt"
}

has_node() { command -v npm > /dev/null && newer_than "$node_at_least" "$(node --version 2> /dev/null)"; }

newer_than() { [ -n "$2" ] && printf '%s\n%s\n' "$1" "${2#v}" | sort -VC; }

# need_npm_tools: the pinned npm packages.
need_npm_tools() {
  need_node || return 1
  local home="$root/scripts/tools"
  cmp -s "$home/package-lock.json" "$home/node_modules/.installed" && return
  # No package here needs its install scripts.
  (cd "$home" && npm ci --ignore-scripts --no-audit --no-fund --silent) || return 1
  cp "$home/package-lock.json" "$home/node_modules/.installed"
}
