#!/bin/sh
# Runs the test suites and ends with one line: "N passed, N failed".
#
# usage: run.sh BUILD_DIR [SUITE…]    suites: unit asan lint fuzz pods kvm smoke
# A test that was skipped counts as failed when CI is set: a missing tool must not hide anything.
set -u

build=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
suites=${*:-unit asan lint fuzz pods kvm}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
# pytest is the one of Debian, whatever other python3 comes first.
python=/usr/bin/python3
passed=0
failed=0
export APPC_VM_BUILD="$build"
FUZZ_SECONDS=${FUZZ_SECONDS:-10}

say() { printf '\n== %s\n' "$*"; }
count() { # PASSED FAILED
    passed=$((passed + $1))
    failed=$((failed + $2))
}
check() { # NAME COMMAND…: one test
    name=$1
    shift
    if out=$("$@" 2>&1); then
        echo "ok    $name"
        count 1 0
    else
        echo "FAIL  $name"
        printf '%s\n' "$out" | tail -40
        count 0 1
    fi
}

# cmocka prints its own counts; a program that died without them is one failure.
meson_tests() { # BUILD_DIR NAME
    meson test -C "$1" --no-rebuild --print-errorlogs >"$results/$2.out" 2>&1
    status=$?
    log=$1/meson-logs/testlog.txt
    p=$(sed -n 's/.*\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$log" | awk '{s += $1} END {print s + 0}')
    f=$(sed -n 's/.*\[  FAILED  \] \([0-9]*\) test.*/\1/p' "$log" | awk '{s += $1} END {print s + 0}')
    [ "$status" -eq 0 ] || { [ "$f" -gt 0 ] || f=1; tail -60 "$results/$2.out"; }
    sed -n 's/^ *[0-9]*\/[0-9]* /  /p' "$results/$2.out"
    count "$p" "$f"
}

pytests() { # NAME PATH…
    name=$1
    shift
    "$python" -m pytest -q -rf --tb=short -p no:cacheprovider --junitxml="$results/$name.xml" "$@"
    set -- $("$python" "$here/count_junit.py" "$results/$name.xml")
    count "$1" "$2"
}

suite_unit() { meson_tests "$build" unit; }

suite_asan() {
    dir=$root/build-asan
    [ -e "$dir/build.ninja" ] || meson setup "$dir" "$root" -Db_sanitize=address,undefined \
        -Db_lundef=false >"$results/asan.setup" 2>&1 || { cat "$results/asan.setup"; count 0 1; return; }
    if ! ninja -C "$dir" >"$results/asan.build" 2>&1; then
        tail -30 "$results/asan.build"
        count 0 1
        return
    fi
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 meson_tests "$dir" asan
}

suite_fuzz() {
    dir=$root/build-fuzz
    [ -e "$dir/build.ninja" ] || CC=clang meson setup "$dir" "$root" -Dfuzz=true -Db_lundef=false \
        >"$results/fuzz.setup" 2>&1 || { cat "$results/fuzz.setup"; count 0 1; return; }
    # clang builds everything, so this is the check that it compiles there too.
    check "clang builds all" ninja -C "$dir"
    for target in "$dir"/tests/fuzz/*/fuzz_*; do
        [ -x "$target" ] && [ -f "$target" ] || continue
        name=$(basename "$target")
        area=$(basename "$(dirname "$target")")
        corpus=$root/tests/fuzz/$area/corpus/${name#fuzz_}
        mkdir -p "$results/$name"
        check "$name, $FUZZ_SECONDS s" "$target" -max_total_time="$FUZZ_SECONDS" -timeout=20 \
            -rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 -artifact_prefix="$results/" \
            "$results/$name" $([ -d "$corpus" ] && echo "$corpus")
    done
}

suite_lint() {
    check "clang-format" sh -c 'cd "$1" && git ls-files "*.c" "*.h" | xargs clang-format --dry-run -Werror' sh "$root"
    check "cppcheck" sh "$here/lint.sh" cppcheck "$root" "$build"
    check "function and file sizes" "$python" "$here/sizes.py" "$root"
    check "conformance page" "$python" "$here/conformance.py" --check
    check "shell syntax" sh -n "$root/dev" "$here"/*.sh "$root"/guest/*.sh "$root"/images/*.sh "$root"/kernel-config/*.sh
}

# What is quick and says most, for a look between two changes.
suite_smoke() {
    pytests smoke "$here/pods/test_build.py" "$here/pods/test_run.py" "$here/pods/test_validator.py" \
        "$here/pods/test_devices_qemu.py"
}
# A host that can't mount must not hide the comparisons.
suite_pods() {
    APPC_TEST_MOUNT=1
    export APPC_TEST_MOUNT
     pytests pods "$here/pods" "$here/image"
}
suite_kvm() { pytests kvm "$here/kvm"; }

for s in $suites; do
    say "$s"
    case $s in
    unit | asan | pods | kvm | fuzz | lint | smoke) "suite_$s" ;;
    *) echo "run.sh: unknown suite $s" >&2; exit 2 ;;
    esac
done
printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
