#!/usr/bin/env bash
# vuln.sh MODULE@VERSION: runs govulncheck. A machine that cannot reach the vulnerability database
# has checked nothing: that is said, and is no failure of the code. Anything found is one.
set -uo pipefail
out=$("${GO:-go}" run "$1" ./... 2>&1)
status=$?
printf '%s\n' "$out"
[ $status -eq 0 ] && exit 0
if grep -qE '^govulncheck: fetching vulnerabilities|(dial tcp|no such host|i/o timeout|403 Forbidden).*vuln' <<<"$out"; then
  echo 'vuln: NOT CHECKED: the vulnerability database cannot be reached from here'
  exit 0
fi
exit $status
