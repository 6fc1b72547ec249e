#!/usr/bin/env bash
# Check everything that needs an NVIDIA GPU, in at most five minutes; see tests/support/gpu_check.py.
#
#   tests/gpu_check.sh [--only STAGE,...] [--out FILE] [--dry-run]
#
# For a machine with one GPU, Python 3.12, torch >= 2.11, triton, numpy, pillow, jinja2, matplotlib,
# pytest and hypothesis, but no Ray and no network. What else is needed travels as wheels: once, where
# there is a network,
#
#   tests/gpu_check.sh --fetch-wheels
#
# puts them into .wheels/ (50 MB, not under version control); copy the checkout with that folder.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --fetch-wheels ]; then
    platforms=()
    for platform in manylinux_2_28 manylinux_2_17 manylinux2014 manylinux1; do
        platforms+=(--platform "${platform}_x86_64")
    done
    exec python3 -m pip download --quiet --no-deps --only-binary=:all: --dest .wheels \
        --python-version 3.12 --implementation cp "${platforms[@]}" \
        pyarrow==17.0.0 pydantic==2.10.6 pydantic-core==2.27.2 annotated-types typing-extensions \
        typing-inspection 'fsspec>=2026.6' cloudpickle pyyaml
fi

python=${PYTHON:-python3}
if [ -d .wheels ] && ! "$python" -c 'import pyarrow, pydantic' 2>/dev/null; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" .wheels/*.whl
    export PYTHONPATH="$site"
fi
PYTHONUNBUFFERED=1 PYTHONPATH="$PWD:$PWD/tests/support${PYTHONPATH:+:$PYTHONPATH}" \
    "$python" -m gpu_check "$@"
