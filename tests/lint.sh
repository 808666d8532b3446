#!/bin/sh
# Static analysis. usage: lint.sh cppcheck|tidy ROOT BUILD_DIR
set -eu
cd "$2"
case $1 in
cppcheck)
    # Suppressed: what cppcheck 2.10 misreads (statement expressions and designated initialisers end
    # as internalAstError and constStatement), and opinions that the compilers settle.
    cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr \
        --std=c11 -D__linux__ -D__x86_64__ -D_GNU_SOURCE -DAPPC_VM_VERSION='"0"' -I . \
        --suppress=missingIncludeSystem --suppress=internalAstError --suppress=constStatement --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches \
        base schema wire fetch host vmm guest-init mds -j2
    ;;
tidy)
    # What was not built is in no compilation database, so nothing is known of how to read it.
    git ls-files '*.c' | grep -v '^tests/' | while read -r f; do
        if grep -qF "/$f\"" "$3/compile_commands.json"; then echo "$f"; else echo "lint.sh: $f is not built" >&2; fi
    done | xargs -P2 -n8 clang-tidy --quiet -p "$3"
    ;;
esac
