# shellcheck shell=bash
# Run in the repository's pod: flips one bit in the middle of the newest file of a backup.
# Prints that file's name as pgBackRest gives it: BACKUP/bundle/NUMBER.
file=$(find /repo -path '*/backup/*/bundle/*' -type f -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
at=$(($(stat -c %s "$file") / 2))
byte=$(od -An -tu1 -j $at -N1 "$file")
printf %b "\\x$(printf %x $((byte ^ 1)))" | dd of="$file" bs=1 seek=$at conv=notrunc status=none
echo "${file#*/backup/*/}"
