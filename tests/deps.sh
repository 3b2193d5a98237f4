#!/usr/bin/env bash
# deps.sh client|all: sees to it that the stock MIT programs are installed.
#
#   client  kinit, kvno and their kin (krb5-user)
#   all     also krb5kdc, kdb5_util, kadmin.local, kpropd, as judges for the tests
#
# Installs Debian's packages with apt-get as root or through a sudo that asks no password. No
# service is started: the packages' scripts are told so (policy-rc.d), nothing that ran before is
# stopped. Exit status 0: all there; 1: something is missing, named on stderr.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

declare -A package=([kinit]=krb5-user [kvno]=krb5-user [klist]=krb5-user [kdestroy]=krb5-user)
case ${1:-} in
  client) ;;
  all) package+=([krb5kdc]=krb5-kdc [kdb5_util]=krb5-kdc [kadmin.local]=krb5-admin-server [kpropd]=krb5-kpropd) ;;
  *) echo "usage: $0 client|all" >&2; exit 2 ;;
esac

missing() {
  for program in "${!package[@]}"; do
    command -v "$program" >/dev/null || echo "${1:+$program of }${package[$program]}"
  done | sort -u
}

wanted=$(missing)
[ -n "$wanted" ] || exit 0

root=()
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
