# The pinned tools, and how to install them: source this file.
#
#   CONFORMANCE_TOOLS  where they are installed (default ${TMPDIR:-/tmp}/lading-tools)
#
# A tool of any version that PATH has already is used as it is; the tables print its version.
# shellcheck shell=bash

tools="${CONFORMANCE_TOOLS:-${TMPDIR:-/tmp}/lading-tools}"
suite_version="${CONFORMANCE_VERSION:-v0.0.0-20260831232431-97274622c111}"
moto_version=5.2.5
schemathesis_version=4.32.5 hypothesis_version=6.170.17 # both, for a seed to mean the same
suite_module=github.com/opencontainers/distribution-spec/conformance
export PATH="$PATH:$tools/bin"

go_module() { # NAME: the module and version of a client written in Go
  case "$1" in
    crane) echo github.com/google/go-containerregistry/cmd/crane@v0.22.1 ;;
    regctl) echo github.com/regclient/regclient/cmd/regctl@v0.11.7 ;;
    oras) echo oras.land/oras/cmd/oras@v1.3.6 ;;
    helm) echo helm.sh/helm/v3/cmd/helm@v3.22.0 ;;
    cosign) echo github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 ;;
    registry) echo github.com/distribution/distribution/v3/cmd/registry@v3.1.2 ;; # a peer, not a client
    minio) echo github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c ;; # a server that S3 is tried with
    *) return 1 ;;
  esac
}

debian_package() { # NAME: the Debian package that brings a command
  case "$1" in
    docker | dockerd) echo docker.io ;;
    ctr) echo containerd ;;
    postgres) echo postgresql ;;
    ceph) echo ceph-common ;;
    mkfs.ext4) echo e2fsprogs ;;
    findmnt | setpriv) echo util-linux ;;
    busybox) echo busybox-static ;;
    *) echo "$1" ;;
  esac
}

# Install Debian packages; none of them may start a service of its own.
apt_install() {
  local policy=/usr/sbin/policy-rc.d made= status=0
  export DEBIAN_FRONTEND=noninteractive
  [ "$(id -u)" = 0 ] || { echo "root is needed to install: $*" >&2; return 1; }
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made=yes
  fi
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" </dev/null; } >/dev/null || status=$?
  [ -z "$made" ] || rm -f "$policy"
  return "$status"
}

install_tool() { # NAME: nothing is done when it is there
  command -v "$1" >/dev/null && return 0
  local module
  if module="$(go_module "$1")"; then
    command -v go >/dev/null || { echo "go is needed to install $1" >&2; return 1; }
    GOBIN="$tools/bin" go install "$module"
  else
    apt_install "$(debian_package "$1")" ca-certificates
  fi
}

# Build the pinned OCI conformance suite once and print its path.
install_suite() {
  local bin="$tools/suite/$suite_version"
  if [ ! -x "$bin/conformance" ]; then
    command -v go >/dev/null || { echo "go is needed to build the OCI conformance suite" >&2; return 1; }
    GOBIN="$bin" go install "$suite_module@$suite_version" >&2
  fi
  echo "$bin/conformance"
}

# Install the pinned schemathesis once, into an environment of its own, and print its path.
install_schemathesis() {
  local environment="$tools/schemathesis-$schemathesis_version"
  if [ ! -x "$environment/bin/schemathesis" ]; then
    { python3 -m venv "$environment" \
      && "$environment/bin/pip" install --quiet --disable-pip-version-check \
        "schemathesis==$schemathesis_version" "hypothesis==$hypothesis_version"; } >&2
  fi
  echo "$environment/bin/schemathesis"
}

# Install the pinned moto once, into an environment of its own, and print the path of its server.
install_moto() {
  local environment="$tools/moto-$moto_version"
  if [ ! -x "$environment/bin/moto_server" ]; then
    { python3 -m venv "$environment" \
      && "$environment/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$moto_version"; } >&2
  fi
  echo "$environment/bin/moto_server"
}

# A statically linked busybox, for images that can run; prints its path.
static_busybox() {
  local found
  found="$(command -v busybox || true)"
  if [ -z "$found" ] || ! ldd "$found" 2>&1 | grep -q 'not a dynamic'; then
    apt_install busybox-static
    found="$(command -v busybox)"
  fi
  echo "$found"
}
