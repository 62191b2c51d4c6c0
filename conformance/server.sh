# A Lading server for a script: source this file, then server_start and server_stop.
#
#   LADING                the command that serves (default: ../.venv/bin/lading, else `lading` on PATH)
#   CONFORMANCE_REGISTRY  host:port of a registry that runs already: nothing is started then, and OCI_USERNAME and
#                         OCI_PASSWORD are its credentials
#   SERVER_PORT           the port to serve on (default: a free one)
#   SERVER_SECONDS        how long a start or a stop may take (default 30)
#
# Every LADING_<SECTION>__<KEY> of the environment reaches the server. In a bucket each DIRECTORY has a prefix of its own.
# shellcheck shell=bash

conformance="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
server_pid=
server_log=
server_seconds="${SERVER_SECONDS:-30}"

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# Print the words of the command that serves, one a line.
lading_command() {
  if [ -n "${LADING:-}" ]; then
    printf '%s\n' $LADING # several words are allowed: `python -m registry`
  elif [ -x "$conformance/../.venv/bin/lading" ]; then
    echo "$conformance/../.venv/bin/lading"
  elif command -v lading >/dev/null; then
    command -v lading
  else
    fail "no lading command: run 'make serve' once, or set LADING"
  fi
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# No dash in front: some clients would take it for a flag.
random_password() {
  python3 -c 'import secrets; print(secrets.token_hex(18))'
}

# server_start DIRECTORY [NAME=VALUE...]: serve DIRECTORY/data on a free loopback port, wait until it is ready, and
# export OCI_REGISTRY, OCI_USERNAME and OCI_PASSWORD. A second start on the same DIRECTORY keeps the password.
server_start() {
  local folder="$1" port
  shift
  if [ -n "${CONFORMANCE_REGISTRY:-}" ]; then
    export OCI_REGISTRY="$CONFORMANCE_REGISTRY"
    return 0
  fi
  local -a command
  mapfile -t command < <(lading_command)
  [ "${#command[@]}" -gt 0 ] || exit 1
  mkdir -p "$folder"
  [ -s "$folder/password" ] || (umask 077 && random_password >"$folder/password")
  port="${SERVER_PORT:-$(free_port)}"
  server_log="$folder/server.log"
  export OCI_REGISTRY="127.0.0.1:$port" OCI_USERNAME=admin
  OCI_PASSWORD="$(cat "$folder/password")"
  export OCI_PASSWORD
  set -- LADING_STORAGE__PREFIX="${LADING_STORAGE__PREFIX:-}/$(basename "$(dirname "$folder")")" "$@"
  # a session of its own, so that nothing of it can be left behind
  setsid env LADING_SERVER__LISTEN="$OCI_REGISTRY" LADING_SERVER__WORKERS="${LADING_SERVER__WORKERS:-2}" \
    LADING_STORAGE__ROOT="$folder/data" LADING_AUTH__ADMIN_PASSWORD="$OCI_PASSWORD" "$@" \
    "${command[@]}" serve >>"$server_log" 2>&1 </dev/null &
  server_pid=$!
  if ! "$conformance/api" ready --pid "$server_pid" --seconds "$server_seconds"; then
    tail -n 30 "$server_log" >&2
    server_abandon
    fail "the server ended, or was not ready within $server_seconds s"
  fi
}

# Ask the server to stop; succeeds only when it exits with 0 in time.
server_stop() {
  [ -n "$server_pid" ] || return 0
  local status=0 deadline=$((SECONDS + server_seconds))
  kill -TERM "$server_pid" 2>/dev/null || true
  while kill -0 "$server_pid" 2>/dev/null && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
  if kill -0 "$server_pid" 2>/dev/null; then
    server_abandon
    echo "the server did not stop within $server_seconds s" >&2
    return 1
  fi
  wait "$server_pid" || status=$?
  server_pid=
  [ "$status" = 0 ] || echo "the server exited with $status on SIGTERM" >&2
  return "$status"
}

# Make sure that nothing of the server runs on; for traps.
server_abandon() {
  [ -n "$server_pid" ] || return 0
  kill -KILL -- "-$server_pid" 2>/dev/null || true
  wait "$server_pid" 2>/dev/null || true
  server_pid=
}
