# Sourced by the other scripts: where builds go, and how things are said.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
# A fresh clone reuses built dependencies when the disk has room for a shared folder.
if [ -z "${CARGO_TARGET_DIR:-}" ]; then
  cache="${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/nephoscope"
  free=0
  if mkdir -p "$cache" 2>/dev/null; then free=$(df -Pk "$cache" | awk 'NR==2{print $4}'); fi
  if [ "${free:-0}" -gt $((10 * 1024 * 1024)) ]; then
    export CARGO_TARGET_DIR="$cache/target"
  else
    export CARGO_TARGET_DIR="$root/target"
  fi
fi
bins="$CARGO_TARGET_DIR/debug"
export NEPHO_BIN_DIR="$bins"

say() { printf '\n== %s (%ss)\n' "$*" "$SECONDS" >&2; }
skipped=()
skip() { skipped+=("$1"); printf '!! skipped: %s\n' "$1" >&2; }
need_cargo() {
  command -v cargo >/dev/null || { echo "error: no cargo; install a Rust toolchain from https://rustup.rs" >&2; exit 1; }
}
