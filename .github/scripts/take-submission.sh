#!/usr/bin/env bash
# Takes the archives out of a pull request, and nothing else: what runs afterwards is the code of
# the branch that it asks to be merged into.
#
#   take-submission.sh BASE HEAD     two commits that are both here
set -euo pipefail
base=$1 head=$2
taken=0
while IFS= read -r -d '' path; do
  if ! [[ $path =~ ^submissions/incoming/[A-Za-z0-9][A-Za-z0-9._+-]*\.zip$ ]]; then
    echo "a submission brings archives in submissions/incoming/ alone, and this changes: $path" >&2
    exit 1
  fi
  read -r mode kind object _ < <(git ls-tree "$head" -- "$path") || true
  if [[ "$mode $kind" != "100644 blob" ]]; then
    echo "is no plain file, or is removed: $path" >&2
    exit 1
  fi
  if (($(git cat-file -s "$object") > 50000000)); then
    echo "is larger than 50 MB: $path" >&2
    exit 1
  fi
  mkdir -p submissions/incoming
  git cat-file blob "$object" >"$path"
  taken=$((taken + 1))
done < <(git diff --name-only --no-renames -z "$base...$head")
if ((taken == 0)); then
  echo "there is no archive in it" >&2
  exit 1
fi
echo "$taken taken"
