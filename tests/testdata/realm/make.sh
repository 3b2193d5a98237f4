#!/usr/bin/env bash
# Makes the realm EXAMPLE.ORG of this directory with the stock MIT programs (made with 1.20.1):
#   realm.dump       kdb5_util dump, version 7
#   stash            its stash file: the realm was through one master key rollover
#   services.keytab  the keys of host/*, as kadmin.local ktadd -norandkey exports them
#   principals.tsv   principal, password ("-": random key), what is special about it
#
# Needs gcc and Debian's krb5-kdc, krb5-admin-server, krb5-user. Clock and random bytes are fixed
# (fixed.c), so that the same programs make the same files. Nothing outside a throw-away directory
# and this one is touched; the KDC it starts for the lockout counters listens on loopback only.
set -euo pipefail
export LC_ALL=C TZ=UTC PATH=$PATH:/usr/sbin:/sbin
here=$(cd "$(dirname "$0")" && pwd)
realm=EXAMPLE.ORG
master='the master password of the fixture'
dir=$(mktemp -d)
kdc=
trap '[ -z "$kdc" ] || kill "$kdc"; rm -rf "$dir"' EXIT
umask 077
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen=>1,LocalAddr=>"127.0.0.1")->sockport')

cat >"$dir/krb5.conf" <<CONF
[libdefaults]
  default_realm = $realm
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  $realm = {
    kdc = 127.0.0.1:$port
  }
[logging]
  default = FILE:$dir/log
CONF
cat >"$dir/kdc.conf" <<CONF
[realms]
  $realm = {
    database_name = $dir/principal
    key_stash_file = $dir/stash
    kdc_listen = 127.0.0.1:$port
    kdc_tcp_listen = 127.0.0.1:$port
    max_life = 1d
    max_renewable_life = 7d
    default_principal_flags = +preauth
  }
CONF
export KRB5_CONFIG=$dir/krb5.conf KRB5_KDC_PROFILE=$dir/kdc.conf KRB5CCNAME=FILE:$dir/cc
gcc -O1 -shared -fPIC -o "$dir/fixed.so" "$here/fixed.c" -ldl

seed=0
# at TIME PROGRAM...: runs one program at a fixed moment, with random bytes of its own.
at() {
  seed=$((seed + 1))
  FIXED_TIME=$(date -d "$1" +%s) FIXED_SEED=$((seed * 1000003)) LD_PRELOAD=$dir/fixed.so "${@:2}"
}
# princ NAME PASSWORD NOTE: one row of principals.tsv.
princ() { printf '%s\t%s\t%s\n' "$1@$realm" "$2" "$3" >>"$dir/principals.tsv"; }
add() { printf '%s\n' "$*" >>"$dir/commands"; }
# run TIME: gives kadmin.local the commands collected so far.
run() {
  at "$1" kadmin.local -p root/admin@$realm <"$dir/commands" >"$dir/out" 2>&1
  if grep -E '^[a-z_]+: .* while|usage:|Unknown request|Unbalanced' "$dir/out"; then exit 1; fi
  : >"$dir/commands"
}

: >"$dir/principals.tsv"
at '2024-03-01 08:00' kdb5_util -r $realm -P "$master" create -s >/dev/null 2>&1

# Policies.
add 'addpol -minlength 6 default'
add 'addpol -minlength 8 -minclasses 2 -history 4 staff'
add 'addpol -minlength 12 -minclasses 3 -history 8 -minlife 1h admins'
add 'addpol -maxfailure 3 -failurecountinterval 10m -lockoutduration 0 locks-for-ever'
add 'addpol -maxfailure 5 -failurecountinterval 5m -lockoutduration 15m locks-a-while'
add 'addpol -maxlife "10000 days" -allowedkeysalts aes256-cts:normal,aes128-cts:normal aes-only'
add 'addpol unused'
run '2024-03-01 08:05'

# The first half of the people, and the first services.
given='anna bela carla david emil frida goran hanna igor julia karl lena marko nadja otto petra quentin rosa stefan tilda'
family='albers berg cerny dahl ekman faro graf holm ivanov jansen'
half=0
for g in $given; do
  for f in $family; do
    half=$((half + 1))
    [ $half -le 100 ] || continue
    add "addprinc -policy staff -pw $g-of-$f-24 $g.$f"
    princ "$g.$f" "$g-of-$f-24" ''
  done
done
for n in $(seq -w 1 30); do
  add "addprinc -clearpolicy -randkey host/h$n.example.org"
  princ "host/h$n.example.org" - ''
done
run '2024-03-02 09:00'

# The master key is rolled over: what is older stays sealed by version 1.
printf '%s\n%s\n' "$master, second" "$master, second" | at '2024-06-01 02:00' kdb5_util add_mkey -s >/dev/null 2>&1
at '2024-06-01 02:05' kdb5_util use_mkey 2 >/dev/null 2>&1
# Both versions in the stash file, as the manual recommends.
at '2024-06-01 02:10' kdb5_util stash >/dev/null 2>&1

half=0
for g in $given; do
  for f in $family; do
    half=$((half + 1))
    [ $half -gt 100 ] || continue
    add "addprinc -policy staff -pw $g-of-$f-24 $g.$f"
    princ "$g.$f" "$g-of-$f-24" ''
  done
done
for g in $given; do
  add "addprinc -policy admins -maxlife 8h -pw Admin-$g.of.berg-24 $g.berg/admin"
  princ "$g.berg/admin" "Admin-$g.of.berg-24" 'admin instance'
done
for n in $(seq -w 1 30); do
  for s in HTTP nfs; do
    add "addprinc -clearpolicy -randkey $s/h$n.example.org"
    princ "$s/h$n.example.org" - ''
  done
done
for s in ldap imap smtp cifs postgres; do
  add "addprinc -clearpolicy -randkey $s/srv.example.org"
  princ "$s/srv.example.org" - ''
done
run '2024-06-02 10:00'

# Enctypes and salts.
for e in aes256-sha2 aes128-sha2 aes256-sha1 aes128-sha1 rc4-hmac des3-cbc-sha1 camellia256-cts camellia128-cts; do
  add "addprinc -clearpolicy -e $e:normal -pw only-$e user-$e"
  princ "user-$e" "only-$e" "one key, $e"
  add "addprinc -clearpolicy -e $e:normal -randkey service/$e.example.org"
  princ "service/$e.example.org" - "one key, $e"
done
for s in norealm onlyrealm special; do
  add "addprinc -clearpolicy -e aes256-cts:$s,aes128-cts:$s -pw salted-$s salt-$s"
  princ "salt-$s" "salted-$s" "salt type $s"
done
add 'addprinc -clearpolicy -pw was-called-otherwise called-before'
add 'renprinc -force called-before renamed'
princ renamed was-called-otherwise 'renamed: salt of its old name'

# States that a KDC must refuse or treat in its own way.
add 'addprinc -clearpolicy -expire "2024-07-01" -pw left-the-house gone'
princ gone left-the-house 'principal expired'
add 'addprinc -clearpolicy -pwexpire "2024-07-01" -pw out-of-date stale'
princ stale out-of-date 'password expired'
add 'addprinc -clearpolicy +requires_preauth +needchange -pw changeme newcomer'
princ newcomer changeme 'must change the password'
add 'addprinc -clearpolicy +requires_preauth -allow_tix -pw disabled-now disabled'
princ disabled disabled-now 'no tickets'
add 'addprinc -clearpolicy -requires_preauth -pw without-preauth lax'
princ lax without-preauth 'no preauthentication'
add 'addprinc -clearpolicy +requires_preauth +requires_hwauth -pw hardware-only token'
princ token hardware-only 'hardware preauthentication'
add 'addprinc -clearpolicy +requires_preauth -allow_renewable -allow_forwardable -allow_proxiable -maxlife 30m -pw short-leash intern'
princ intern short-leash 'short tickets'
add 'addprinc -clearpolicy -nokey keyless'
princ keyless - 'no keys'
add 'addprinc -clearpolicy -randkey -allow_svr noserver'
princ noserver - 'no service tickets'
add 'addprinc -clearpolicy -randkey +ok_as_delegate +ok_to_auth_as_delegate web/gate.example.org'
princ web/gate.example.org - 'delegation flags'
add 'addprinc -policy aes-only -pw long-lived-12 centenarian'
princ centenarian long-lived-12 'policy with a maximum life'
add 'addprinc -policy locks-for-ever -pw three-strikes out'
princ out three-strikes 'locked out'
add 'addprinc -policy locks-a-while -pw five-strikes warned'
princ warned five-strikes 'two failures counted'
add 'addprinc -policy locks-a-while -pw five-strikes forgiven'
princ forgiven five-strikes 'failures counted, then unlocked'
run '2024-06-03 11:00'

# Several key versions, password history, string attributes.
add 'cpw -pw second-Word-2 anna.albers'
add 'cpw -pw third-Word-3 anna.albers'
add 'cpw -keepold -pw kept-Word-1 bela.berg'
for n in 1 2 3; do add 'cpw -randkey -keepold nfs/h01.example.org'; done
add "cpw -randkey -keepold krbtgt/$realm"
add 'setstr anna.albers session_enctypes aes256-cts'
add 'setstr anna.albers note "two words, and ""quotes"""'
add 'setstr host/h01.example.org session_enctypes "aes128-cts aes256-cts"'
add 'setstr host/h02.example.org rack 17'
add 'delstr host/h02.example.org rack'
run '2024-06-04 12:00'
sed -i -e "s/^anna.albers@$realm\t[^\t]*\t/anna.albers@$realm\tthird-Word-3\tkey version 3, history, string attributes/" \
  -e "s/^bela.berg@$realm\t[^\t]*\t/bela.berg@$realm\tkept-Word-1\told key kept/" "$dir/principals.tsv"

# Cross-realm keys, and names that are hard to write.
add 'addprinc -clearpolicy -pw shared-with-partner krbtgt/PARTNER.EXAMPLE'
princ krbtgt/PARTNER.EXAMPLE shared-with-partner 'cross-realm, outgoing'
add "addprinc -clearpolicy -pw shared-with-partner krbtgt/$realm@PARTNER.EXAMPLE"
printf '%s\t%s\t%s\n' "krbtgt/$realm@PARTNER.EXAMPLE" shared-with-partner 'cross-realm, incoming' >>"$dir/principals.tsv"
add 'addprinc -clearpolicy -randkey WELLKNOWN/ANONYMOUS'
princ WELLKNOWN/ANONYMOUS - ''
while IFS= read -r name; do
  add "addprinc -clearpolicy -pw odd-name \"${name//\"/\"\"}\""
  princ "$name" odd-name 'odd name'
done <<'NAMES'
two words
trailing blank 
joe\@mail.example
slash\/in\/side
back\\slash
tab\tbed
line\nbreak
quo"ted
semi;colon
-dash
#hash
x//y
x/
søren.åkesson
日本
a/b/c/d/e
UPPER.Case
NAMES
run '2024-06-05 13:00'

# Lockout counters come from a KDC that was asked with wrong passwords.
seed=$((seed + 1))
FIXED_TIME=$(date -d '2024-06-06 14:00' +%s) FIXED_SEED=$((seed * 1000003)) LD_PRELOAD=$dir/fixed.so \
  krb5kdc -n 2>"$dir/kdc.err" &
kdc=$!
for _ in $(seq 100); do
  grep -q 'starting' "$dir/kdc.err" "$dir/log" 2>/dev/null && break
  kill -0 $kdc
  sleep 0.05
done
for u in out out out warned warned forgiven forgiven; do
  if at '2024-06-06 14:00' kinit $u@$realm <<<wrong >/dev/null 2>&1; then exit 1; fi
done
for u in anna.albers david.dahl; do
  pw=$(awk -F'\t' -v u="$u@$realm" '$1 == u { print $2 }' "$dir/principals.tsv")
  at '2024-06-06 14:01' kinit $u@$realm <<<"$pw" >/dev/null
done
kill $kdc && wait $kdc || true
kdc=

add "modprinc -unlock forgiven"
add "ktadd -q -norandkey -k $dir/services.keytab -glob host/*"
run '2024-06-07 15:00'
at '2024-06-08 16:00' kdb5_util dump "$dir/realm.dump"
cp "$dir/realm.dump" "$dir/stash" "$dir/services.keytab" "$here/"
sort "$dir/principals.tsv" >"$here/principals.tsv"
chmod 0644 "$here/realm.dump" "$here/principals.tsv"
printf '%s principals, %s policies\n' "$(grep -c '^princ' "$here/realm.dump")" "$(grep -c '^policy' "$here/realm.dump")"
