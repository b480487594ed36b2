# shellcheck shell=bash disable=SC2034
# Positions in the WAL, and the files that they are in. Sourced by receive.sh and backup.sh.
segment=16777216     # bytes in a file

# The last 16 digits of the name of the file that the position (such as 0/3000060) is in; those before are the
# timeline.
segment_of() { printf '%08X%08X' "$((16#${1%/*}))" "$((16#${1#*/} / segment))"; }

# How many files precede the one whose name has these last 16 digits.
number() { echo $((16#${1:0:8} * 256 + 16#${1:8:8})); }
