# Clients driven one after the other, each in a process of its own, with a row of a table for each: source this file
# after server.sh and tools.sh. The script that does sets `steps`, and answers `--one NAME` by running that client's.
#
#   CLIENT_SECONDS  how long one client may take (default 240)
# shellcheck shell=bash

client_seconds="${CLIENT_SECONDS:-240}"
passed=0 failed=0 absent=0
started=() # processes of the script's own, which cleanup ends

version_of() { # NAME: as the client says it, or as Go built it
  local built
  built="$(go version -m "$(command -v "$1")" 2>/dev/null | awk '$1 == "mod" { print $3 }' || true)"
  case "$1:$built" in
    docker:* | ctr:* | *: | *:'(devel)') "$1" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1 || echo '?' ;;
    *) echo "${built#v}" ;;
  esac
}

is_usable() { # NAME: installed, and its engine runs
  case "$1" in
    docker) [ -n "${CONTAINERD_ADDRESS:-}" ] && command -v docker >/dev/null ;;
    ctr) [ -n "${CONTAINERD_ADDRESS:-}" ] && command -v ctr >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

row() { # CLIENT VERSION CELL... SECONDS RESULT
  printf '%-8s %-9s' "$1" "$2"
  shift 2
  while [ $# -gt 2 ]; do
    printf ' %-8s' "$1"
    shift
  done
  printf ' %7s  %s\n' "$@"
}

drive() { # NAME: run one client in a process of its own and print its row
  local name="$1" home="$work/home/$1" log="$work/$1.log" started status=0 step cells=() seconds
  if ! is_usable "$name"; then
    row "$name" - "${steps[@]//*/-}" - ABSENT
    absent=$((absent + 1))
    return 0
  fi
  mkdir -p "$home/.docker"
  echo '{}' >"$home/auth.json"
  started="$(date +%s%N)"
  HOME="$home" TMPDIR="$home" DOCKER_CONFIG="$home/.docker" REGISTRY_AUTH_FILE="$home/auth.json" \
    STEPS_DONE="$home/steps" LAYOUT="$work/layout" XDG_RUNTIME_DIR="$home" \
    timeout -k 10 "$client_seconds" "$BASH" "$0" --one "$name" >"$log" 2>&1 </dev/null || status=$?
  seconds="$(awk -v from="$started" -v to="$(date +%s%N)" 'BEGIN { printf "%.1f", (to - from) / 1e9 }')"
  for step in "${steps[@]}"; do
    if grep -qx "$step" "$home/steps" 2>/dev/null; then cells+=(ok); else cells+=(-); fi
  done
  if [ "$status" = 0 ]; then
    row "$name" "$(version_of "$name")" "${cells[@]}" "$seconds" OK
    passed=$((passed + 1))
  else
    row "$name" "$(version_of "$name")" "${cells[@]}" "$seconds" "FAIL ($(explain "$status" "$log"))"
    failed=$((failed + 1))
  fi
}

explain() { # STATUS LOG: the last thing the client said, in one line
  if [ "$1" = 124 ]; then echo "no end after $client_seconds s"; else grep -v '^+' "$2" | tail -n 1 | cut -c1-160; fi
}

do_steps() { # in the process of one client: one after the other, each noted when it is done
  local step
  cd "$HOME"
  PS4='+ '
  set -x
  for step in "${steps[@]}"; do
    "$step"
    echo "$step" >>"$STEPS_DONE"
  done
}

same() { # WHAT A B: two values agree
  [ -n "$2" ] && [ "$2" = "$3" ] || { echo "$1 differs: '$2' and '$3'" >&2; exit 1; }
}

cleanup() {
  local status=$? pid folder
  server_abandon
  for pid in "${started[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  [ -z "${started_engine:-}" ] || ENGINE_DIR="$work/engine" "$conformance/engine" stop || true
  for folder in "$work"/home/*/storage*; do
    # storage drivers leave their root mounted
    if mountpoint -q "$folder/overlay" 2>/dev/null; then umount "$folder/overlay" || true; fi
  done
  if [ "$status" = 0 ]; then rm -rf "$work"; else echo "logs are kept in $work" >&2; fi
}

start_engine() { # NAME...: where docker or ctr is asked for, installed, and we are root
  local name lines
  [ "$(id -u)" = 0 ] && command -v dockerd >/dev/null && command -v containerd >/dev/null || return 0
  for name; do
    case "$name" in
      docker | ctr)
        started_engine=yes
        lines="$(ENGINE_DIR="$work/engine" "$conformance/engine" start)" || { echo "no engine could be started" >&2; return 0; }
        eval "$lines"
        return 0
        ;;
    esac
  done
}
