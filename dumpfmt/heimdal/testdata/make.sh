#!/usr/bin/env bash
# make.sh DIRECTORY [ENCTYPE]: has Heimdal's programs (made with 7.8: heimdal-kdc, heimdal-clients) make a realm
# with a master key of this enctype (Heimdal's default: des3-cbc-sha1) and dump it in every form. No
# server is started. HEIMDAL may name a directory that the packages were unpacked into.
set -euo pipefail
dir=$(realpath -m "$1")
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=${HEIMDAL:-}
if [ -n "$root" ]; then
  export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu/heimdal
fi
cat >"$work/krb5.conf" <<C
[libdefaults]
 default_realm = EXAMPLE.COM
[kdc]
 database = {
  dbname = $work/heimdal
  realm = EXAMPLE.COM
  mkey_file = $dir/m-key
  acl_file = /dev/null
  log_file = $work/log
 }
C
export KRB5_CONFIG=$work/krb5.conf
kadmin() { "$root/usr/bin/kadmin.heimdal" -l -r EXAMPLE.COM "$@"; }
"$root/usr/sbin/kstash" -k "$dir/m-key" --random-key ${2:+-e "$2"}
kadmin init --realm-max-ticket-life=unlimited --realm-max-renewable-life=unlimited EXAMPLE.COM
kadmin add --use-defaults -p pw-alice-1 alice
kadmin cpw -p pw-alice-2 --keepold alice
kadmin cpw -p pw-alice-3 --keepold alice
kadmin add --use-defaults -p pw-bob bob
kadmin add --use-defaults -r host/www.example.com
kadmin add --use-defaults -p pw-joe "joe user"
kadmin add --use-defaults -p pw-flags flags
kadmin modify -a disallow-forwardable,requires-hw-auth,ok-as-delegate,trusted-for-delegation,requires-pw-change,disallow-all-tix flags
kadmin add --max-ticket-life=1d --max-renewable-life=7d --expiration-time=2040-01-01 --pw-expiration-time=2030-06-01 \
  --attributes= --policy=default -p pw-exp expires
kadmin modify --alias=robert@EXAMPLE.COM --alias='bob\@example.com@EXAMPLE.COM' bob
kadmin add --use-defaults -p pw-odd 'odd\/na\@me\\x'
kadmin add --use-defaults -p pw-utf8 'üser'
kadmin add --use-defaults -p pw-long --expiration-time=never longer
kadmin modify --max-ticket-life=unlimited --max-renewable-life=unlimited longer
kadmin modify --constrained-delegation=host/a.example.com@EXAMPLE.COM host/www.example.com
kadmin modify --kvno=5 bob
kadmin dump "$dir/native.dump"
kadmin dump --decrypt "$dir/decrypted.dump"
kadmin dump --format=MIT "$dir/mit.dump"
