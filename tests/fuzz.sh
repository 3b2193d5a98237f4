#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the tree for TIME, one after the other.
set -euo pipefail
found=0
while IFS=: read -r file name; do
  found=$((found + 1))
  echo "== $(dirname "$file") $name"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$1" "./$(dirname "$file")"
done < <(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed 's/:func /:/')
echo "$found fuzz targets, $1 each"
