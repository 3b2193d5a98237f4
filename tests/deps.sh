#!/usr/bin/env bash
# deps.sh client|all|netns: sees to it that the stock MIT programs are installed.
#
#   client  kinit, kvno and their kin (krb5-user)
#   all     also krb5kdc, kdb5_util, kadmin.local, kpropd, as judges for the tests, curl and a JDK; and, unpacked
#           into tests/out/peers only, Heimdal's client, Apache with mod_auth_gssapi, sshd, and MIT's TLS module
#   netns   ip and ss (iproute2)
#
# Installs Debian's packages with apt-get as root or through a sudo that asks no password. No
# service is started: the packages' scripts are told so (policy-rc.d), nothing that ran before is
# stopped. Exit status 0: all there; 1: something is missing, named on stderr.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

declare -A package=([kinit]=krb5-user [kvno]=krb5-user [klist]=krb5-user [kdestroy]=krb5-user)
case ${1:-} in
  client) ;;
  netns) package=([ip]=iproute2) ;;
  all) package+=([curl]=curl [ssh]=openssh-client [javac]=default-jdk-headless [krb5kdc]=krb5-kdc [kdb5_util]=krb5-kdc [kadmin.local]=krb5-admin-server [kpropd]=krb5-kpropd) ;;
  *) echo "usage: $0 client|all|netns" >&2; exit 2 ;;
esac

missing() {
  for program in "${!package[@]}"; do
    command -v "$program" >/dev/null || echo "${1:+$program of }${package[$program]}"
  done | sort -u
}

# Programs that must not be installed, because they would take the names of the stock ones or start a server, are
# only unpacked. The list is the packages with those of their libraries that few machines have.
peers=(heimdal-clients libasn1-8-heimdal libgssapi3-heimdal libhcrypto5-heimdal libhdb9-heimdal libheimbase1-heimdal
  libheimntlm0-heimdal libhx509-5-heimdal libkadm5clnt7-heimdal libkadm5srv8-heimdal libkafs0-heimdal
  libkrb5-26-heimdal libotp0-heimdal libroken19-heimdal libsl0-heimdal libwind0-heimdal
  apache2-bin libapache2-mod-auth-gssapi libapr1 libaprutil1 krb5-k5tls openssh-server libwrap0)
unpack_peers() {
  local to work
  to=$(cd "$(dirname "$0")" && pwd)/out/peers
  [ "$(cat "$to/packages" 2>/dev/null)" != "${peers[*]}" ] || return 0
  mkdir -p "${to%/*}"
  work=$(mktemp -d "${to%/*}/unpack.XXXXXX")
  chmod 0755 "$work"
  echo "deps: unpacking ${peers[0]}, apache2-bin, openssh-server and their libraries"
  if ! (cd "$work" && apt-get download -q "${peers[@]}" && mkdir root && for deb in *.deb; do dpkg -x "$deb" root; done) >"$work/log" 2>&1; then
    tail -n 20 "$work/log" >&2
    rm -rf "$work"
    return 1
  fi
  echo "${peers[*]}" >"$work/root/packages"
  rm -rf "$to" && mv "$work/root" "$to" && rm -rf "$work"
}
finish() {
  [ "${1:-}" = all ] || exit 0
  # The lists of packages may be old or absent.
  unpack_peers 2>/dev/null || { "${root[@]}" apt-get update -q >/dev/null 2>&1; unpack_peers; } ||
    { echo "deps: apt-get could not download" "${peers[@]}" >&2; exit 1; }
  exit 0
}

root=()
wanted=$(missing)
[ -n "$wanted" ] || { [ "$(id -u)" -eq 0 ] || root=(sudo -n); finish "$1"; }

if [ "$(id -u)" -ne 0 ]; then
  if ! sudo -n true 2>/dev/null; then
    echo "deps: not root and no sudo without a password; missing: $(missing name | paste -sd,)" >&2
    exit 1
  fi
  root=(sudo -n)
fi
if ! command -v apt-get >/dev/null; then
  echo "deps: no apt-get here; missing: $(missing name | paste -sd,)" >&2
  exit 1
fi

# Without a policy of its own, a machine gets one for the time of the installation that starts nothing.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap '"${root[@]}" rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee $policy >/dev/null
  "${root[@]}" chmod 0755 $policy
fi
log=$(mktemp)
# shellcheck disable=SC2086  # a list of package names
install() {
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
    apt-get install -y -q --no-install-recommends -o Dpkg::Lock::Timeout=120 $wanted
}
echo "deps: installing" $wanted
if ! { "${root[@]}" apt-get update -q && install; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  rm -f "$log"
  echo "deps: apt-get could not install" $wanted >&2
  exit 1
fi
rm -f "$log"
left=$(missing name | paste -sd,)
if [ -n "$left" ]; then
  echo "deps: still missing: $left" >&2
  exit 1
fi
finish "$1"
