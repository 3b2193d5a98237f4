#!/bin/bash
# append.sh FILE < LINES: appends the lines as one changeset to a delta file, by docs/formats/delta.md
# alone, with nothing but a shell, GNU coreutils, grep and flock. The file must exist.
set -euo pipefail
file=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/lines"

while :; do
  exec 9<>"$(realpath -e "$file")"                                                 # 1
  flock 9                                                                          # 2
  [ "$(stat -L -c %d:%i "/proc/self/fd/9")" = "$(stat -c %d:%i "$file")" ] && break # 3
  exec 9>&-
done

last=$(LC_ALL=C grep -ab $'^end\t' "$file" | tail -n 1 || true)                    # 4
if [ -n "$last" ]; then
  offset=${last%%:*} last=${last#*:}
  IFS=$'\t' read -r _ serial _ hash _ <<<"$last"
else
  last=$(sed -n 2p "$file")
  offset=$(head -n 1 "$file" | wc -c)
  IFS=$'\t' read -r _ _ _ _ serial _ _ hash _ <<<"$last"
fi
end=$((offset + ${#last} + 1))
[ "$(stat -c %s "$file")" -eq "$end" ] || truncate -s "$end" "$file"

serial=$((serial + 1))                                                             # 5
now=$(date +%s%6N)
{
  printf 'begin\t%d\t%d\t%d\t%d\t%d\t;\n' "$serial" "${now::-6}" "$((10#${now: -6}))" \
    "$(wc -l <"$work/lines")" "$(wc -c <"$work/lines")"
  cat "$work/lines"
} >"$work/changeset"
hash=$({ printf %s "${hash^^}" | basenc --base16 -d; cat "$work/changeset"; } | sha256sum | cut -d ' ' -f 1)
printf 'end\t%d\tsha256\t%s\t;\n' "$serial" "$hash" >>"$work/changeset"

dd if="$work/changeset" of="$file" bs=80M iflag=fullblock oflag=append conv=notrunc,fsync status=none # 6, 7
sync "$(dirname "$(realpath -e "$file")")"
