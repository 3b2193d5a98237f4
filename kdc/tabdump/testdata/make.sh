#!/usr/bin/env bash
# make.sh: has the stock kdb5_util (krb5 1.20.1) print every table of odd.dump into odd/, one file
# for each table and set of options. odd.dump is hand-made: names, attributes, keys, times and flags
# as no real realm has them, each as far as kdb5_util still prints it.
set -euo pipefail
cd "$(dirname "$0")"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export KRB5_CONFIG=$dir/krb5.conf KRB5_KDC_PROFILE=$dir/kdc.conf PATH=$PATH:/usr/sbin
printf '[libdefaults]\n default_realm = EXAMPLE.COM\n' >"$KRB5_CONFIG"
printf '[realms]\n EXAMPLE.COM = {\n database_name = %s\n key_stash_file = %s\n }\n' "$dir/db" "$dir/stash" >"$KRB5_KDC_PROFILE"
kdb5_util load odd.dump
cp stash "$dir/stash"
mkdir -p odd
for table in keydata keyinfo princ_flags princ_lockout princ_meta princ_stringattrs princ_tktpolicy; do
  for options in '' -n -c -H -cen; do
    kdb5_util tabdump ${options:+"$options"} "$table" >"odd/$table$options"
  done
done
