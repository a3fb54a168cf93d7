#!/usr/bin/env bash
# Measure and train on a GPU node without a network, in jobs of ten minutes: docs/performance.md says how.
#   benchmarks/gpu.sh wheels   where there is a network: fetch what the node's Python lacks
#   benchmarks/gpu.sh 1        set up, prepare, measure
#   benchmarks/gpu.sh 2        train and test the three UNet-FCN of mmseg's project, as far as the job lasts
#   benchmarks/gpu.sh 3        the same for unet-cranium_base
# Each may be called again and again, and goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}                   # on the node: the one that has torch with CUDA
RUNS=${RUNS:-work_dirs/gpu}                 # all that is written; RUNS/results.tar.gz is to be brought back
WHEELS=${WHEELS:-$RUNS/wheels}
WHEELS_FOR=${WHEELS_FOR:-3.12}              # the node's Python
IMAGE=${IMAGE:-/dev/null}                   # a file with the names of packages that the node has, one per line
SOURCE=${SOURCE:-data}                      # the download of ct-ich
JOB_SECONDS=${JOB_SECONDS:-540}             # after these a job ends its work, to be over before ten minutes
EVERY=${EVERY:-200}                         # iterations between two checkpoints
STEPS=${STEPS:-20}                          # of each measurement
DEVICE=${DEVICE:-cuda}                      # cpu: a rehearsal
FCN=${FCN:-$(echo configs/fcn-unet-s5-d16_unet_1xb16-0.*-20k_cranium-512x512.py)}
BASE=${BASE:-configs/unet-cranium_base_1xb16-20k_cranium-aligned-384x320.py}
FOLDS=${FOLDS:-1}                           # of the authors', which base is tested on
FCN_OPTIONS=${FCN_OPTIONS-optim_wrapper.type=AmpOptimWrapper optim_wrapper.dtype=bfloat16}
BASE_OPTIONS=${BASE_OPTIONS-}

OUT=$RUNS/out
export PYTHONPATH=$PWD:$RUNS/site${PYTHONPATH:+:$PYTHONPATH} PYTHONWARNINGS=ignore PYTHONUNBUFFERED=1
say() { printf '%s s: %s\n' "$SECONDS" "$*"; }
# Run a command for as long as the job lasts, then end it and all that it started.
in_time() { timeout --foreground -k 45 "$((JOB_SECONDS > SECONDS ? JOB_SECONDS - SECONDS : 1))" "$@"; }
benchmarks() { in_time "$PYTHON" -m benchmarks "$@"; }

wheels() {
  local tag tags=() arch=${ARCH:-x86_64}
  for tag in 1 2014 _2_17 _2_24 _2_27 _2_28 _2_31 _2_34 _2_35; do tags+=(--platform "manylinux${tag}_$arch"); done
  mkdir -p "$WHEELS"
  "$PYTHON" - > "$WHEELS/wanted.txt" <<'PY'
import tomllib
print('opencv-python-headless')  # opencv-python needs libGL
with open('pyproject.toml', 'rb') as file:
    for package in tomllib.load(file)['project']['dependencies']:
        if not package.startswith('torch'):
            print(package)
PY
  grep -v '^torch' constraints.txt > "$WHEELS/constraints.txt"
  "$PYTHON" -m pip download --quiet --only-binary=:all: --python-version "$WHEELS_FOR" "${tags[@]}" \
    --constraint "$WHEELS/constraints.txt" --requirement "$WHEELS/wanted.txt" --dest "$WHEELS"
  "$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$WHEELS" .
  rm -f "$WHEELS"/pip-*.whl "$WHEELS"/opencv_python-*.whl
  # Not setuptools: OpenMMLab needs one below 81.
  sed 's/[=<>! ].*//; s/[-.]/_/g' "$IMAGE" | tr '[:upper:]' '[:lower:]' | grep -vx setuptools | while read -r name; do
    find "$WHEELS" -iname "$name-*.whl" -delete
  done || true
  du -sh "$WHEELS"
}

setup() {
  # Not a virtual environment, which would not see the packages of an image whose Python is in one itself.
  if [ ! -e "$RUNS/site" ]; then
    rm -rf "$RUNS/site.partial"
    "$PYTHON" -m pip install --quiet --no-index --no-deps --no-compile --target "$RUNS/site.partial" "$WHEELS"/*.whl
    mv "$RUNS/site.partial" "$RUNS/site"
  fi
  "$PYTHON" - "$DEVICE" <<'PY'
import sys, torch
if sys.argv[1] == 'cuda' and not torch.cuda.is_available():
    sys.exit('no GPU that PyTorch can use; DEVICE=cpu rehearses without')
PY
  say 'set up'
}

# prepare NAME OPTION...: a tree, once
prepare() {
  [ -e "$RUNS/data/$1/dataset.json" ] || in_time "$PYTHON" -m cranium.cli prepare --source "$SOURCE" --out "$RUNS/data/$1" "${@:2}"
  say "prepared $1"
}

# table NAME COMMAND...: the output of a command in OUT/tables, once; one that fails is tried again by the next job
table() {
  local file=$OUT/tables/$1.md
  [ -e "$file" ] || { "${@:2}" > "$file.partial" 2> "$OUT/tables/$1.log" && mv "$file.partial" "$file"; } ||
    say "$1 failed or ran out of time, see $OUT/tables/$1.log"
  if [ -e "$file" ]; then printf '\n%s\n' "$1"; cat "$file"; fi
}

measure() {
  local fcn=${FCN%% *} slice=$RUNS/data/slice hu=$RUNS/data/hu
  table environment in_time "$PYTHON" -m cranium.cli env
  table fcn-step benchmarks train --config "$fcn" --source "$slice" --steps "$STEPS" --variants channels_last bf16 fp16 channels_last+bf16 channels_last+fp16
  table base-step benchmarks train --config "$BASE" --source "$hu" --steps "$STEPS" --variants bf16 fp16
  table fcn-loader benchmarks train --waiting --config "$fcn" --source "$slice" --steps "$((5 * STEPS))"
  table base-loader benchmarks train --waiting --config "$BASE" --source "$hu" --steps "$((5 * STEPS))"
  table fcn-one-process in_time "$PYTHON" -m torch.distributed.run --standalone --nproc-per-node 1 \
    -m benchmarks train --waiting --config "$fcn" --source "$slice" --steps "$((5 * STEPS))"
  table fcn-compile benchmarks train --config "$fcn" --source "$slice" --steps "$STEPS" --variants compile channels_last+bf16+compile
}

# A training that is interrupted by the end of the job is not an error.
train() {
  "$@" 2>&1 | tee -a "$OUT/job.log" || [[ $? = @(124|137|143) ]] || { bring 'failed'; exit 1; }
}

train_fcn() {
  # shellcheck disable=SC2086  # lists
  train benchmarks pieces $FCN --source "$RUNS/data/slice" --runs "$OUT/slice" --cfg-options default_hooks.checkpoint.interval="$EVERY" $FCN_OPTIONS
}

train_base() {
  local fold folds=()
  for fold in $FOLDS; do folds+=(--fold "$fold"); done
  # shellcheck disable=SC2086
  train in_time "$PYTHON" -m cranium.cli cross-validate "$BASE" "${folds[@]}" --data "$RUNS/data/hu" --work-dir "$OUT/base" --cfg-options default_hooks.checkpoint.interval="$EVERY" $BASE_OPTIONS
}

# Tell how far the trainings are, and pack what is to be brought back: no weights, no pictures.
bring() {
  local file runs=()
  while read -r file; do
    say "$(dirname "${file#"$OUT/"}") has reached $(basename "$(cat "$file")" .pth)"
  done < <(find "$OUT" -name last_checkpoint | sort)
  for file in "$OUT"/*/*/test/evaluation/summary.json; do [ ! -e "$file" ] || runs+=("${file%/evaluation/*}"); done
  if [ ${#runs[@]} -gt 0 ]; then "$PYTHON" -m cranium.cli results-table "${runs[@]}" | tee "$OUT/results.md"; fi
  tar -czf "$RUNS/results.tar.gz" --exclude='*.pth' --exclude='*.png' -C "$RUNS" out
  say "$1, $(du -h "$RUNS/results.tar.gz")"
}

case ${1:-} in
  wheels) wheels ;;
  1 | 2 | 3)
    mkdir -p "$OUT/tables"
    RUNS=$(cd "$RUNS" && pwd) OUT=$RUNS/out
    export PYTHONPATH=$PWD:$RUNS/site
    setup
    case $1 in
      1) prepare slice --window brain --split slice; prepare hu --window hu --split authors --fold "${FOLDS%% *}"; measure ;;
      2) prepare slice --window brain --split slice; train_fcn ;;
      3) prepare hu --window hu --split authors --fold "${FOLDS%% *}"; train_base ;;
    esac
    if ((SECONDS < JOB_SECONDS)); then bring 'finished'; else bring "time is over: call $0 $1 again"; fi
    ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
