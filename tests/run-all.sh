#!/usr/bin/env bash
# Runs every test project that `make build` built, and prints as its last line: N passed, N failed, N skipped.
# Exit code: 0 when all passed; 1 when one failed, a run broke off, or no test ran. Arguments go to `dotnet test`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
results=out/test-results
rm -rf "$results"

# Compilers and signing tools for Windows binaries, and a second compiler of Linux: the drivers are built with them, and the driver bench
# compared with what they make. Without them those tests are skipped, each saying what is missing; where CI is set they fail.
. qemu-config/common.sh
(ensure_packages x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64 i686-w64-mingw32-gcc:gcc-mingw-w64-i686 \
    osslsigncode:osslsigncode genisoimage:genisoimage openssl:openssl clang:clang) ||
    echo "Some driver tests will ${CI:+fail, not }be skipped: see above." >&2

# What the guest tests need. Without it they fail, each saying what is missing.
qemu-config/provision-qemu.sh >/dev/null && qemu-config/guests/linux/build-image.sh >/dev/null || echo "The guest tests will fail: see above." >&2

# One project at a time: guests under TCG want the cores for themselves. The console names what failed, and why.
dotnet test Emulator.sln -c Release --no-build -m:1 --logger 'trx;LogFilePrefix=run' --logger 'console;verbosity=minimal' \
    --results-directory "$results" -v quiet "$@"
status=$?

# Each project leaves a file with one <Counters total= executed= passed= failed= .../>.
shopt -s nullglob
counts=$(cat /dev/null "$results"/*.trx | grep -o '<Counters [^>]*' | awk '
    function value(name,    part) { return match($0, " " name "=\"[0-9]+") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 3) : 0 }
    { passed += value("passed"); skipped += value("total") - value("executed"); failed += value("executed") - value("passed") }
    END { printf "%d %d %d", passed, failed, skipped }')
read -r passed failed skipped <<<"$counts"
[ $((passed + failed)) -gt 0 ] || { echo "No test ran." >&2; status=1; }
[ "$failed" -eq 0 ] || status=1
[ "$status" -eq 0 ] || status=1
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
