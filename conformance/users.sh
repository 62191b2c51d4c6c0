# Users of a server for a script: source this file after server.sh. Once the server runs, export LADING_STORAGE__ROOT (its
# data directory) and USERS (a directory for passwords and what commands say in JSON).
# shellcheck shell=bash

mapfile -t command < <(lading_command)
[ "${#command[@]}" -gt 0 ] || exit 1

lading() { "${command[@]}" "$@"; }

policy() { lading policy put --file "$conformance/policy.d/$1.json" "${@:2}"; } # FILE OWNER...

password_of() { cat "$USERS/$1.password"; } # USER

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" <"$USERS/$2.json"; } # NAME FILE

make_user() { # NAME [POLICY...]: a user with a random password and these policies of policy.d
  local name="$1" policy
  shift
  random_password >"$USERS/$name.password"
  lading user create "$name" --password-stdin --json <"$USERS/$name.password" >"$USERS/$name.user.json"
  for policy; do policy "$policy" --user "$name" --name "$policy"; done
}
