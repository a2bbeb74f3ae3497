#!/bin/bash
# Measures openrealm on a GPU in one call of at most 9 minutes; a call that ran out of time is continued by the next one.
#
#   bash bench/gpu.sh                        # from a checkout; the figures go to gpu-figures/
#   SIZE=toy DEVICE=cpu bash bench/gpu.sh    # the same on a CPU, in small
#
# PYTHON names an interpreter with openrealm's dependencies, OUT the folder for the figures, one file per part. Parts
# that are there already are not measured again. The exit status is 0 if all parts are there, 3 if time ran out.
set -u
cd "$(dirname "$0")/.."
OUT=${OUT:-gpu-figures} SIZE=${SIZE:-full} DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-python3} SECONDS_IN_ALL=${SECONDS_IN_ALL:-530}
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$OUT"
status=0
for part in environment tests parity embedding search joint pretraining; do
  [ -s "$OUT/$part.json" ] && continue
  left=$((SECONDS_IN_ALL - SECONDS))
  if [ "$left" -lt 10 ]; then
    echo "$part: no time left; call again"
    exit 3
  fi
  echo "$part, $left s left"
  if ! timeout "$left" "$PYTHON" bench/gpu.py "$part" --size "$SIZE" --device "$DEVICE" --out "$OUT/$part.json"; then
    echo "$part failed or ran out of time"
    status=3
  fi
done
[ "$status" = 0 ] && "$PYTHON" bench/gpu.py summary --out "$OUT"
exit "$status"
