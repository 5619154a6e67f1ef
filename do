#!/usr/bin/env bash
# The one script people run: see usage() below, docs/decisions/0005-one-script.md says why.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

usage() {
    cat <<'END'
./do deps [run|test]     installs what is missing (Debian packages), builds the resource types' root filesystems
./do build               builds everything, hardened, into build/
./do run [--once]        starts Weir with a demo: a git repository, a pipeline that tests and tags each commit
./do test [NAME]         unit tests (ASan, UBSan, TSan), fuzzing, integration tests; NAME: only what is named so
./do soak [--minutes N]  the long runs: random work for N minutes (default 10), prints seed and counts
./do bench [NAME]        the benchmarks behind every figure, into bench/RESULTS.md
./do fmt                 formats the sources
./do lint                format, layers, headers, shell scripts, warnings of clang, hardening of the programs
./do ui                  the web interface (not part of this tree yet)
END
}

# What building and running need, and what only testing and linting need beyond that.
run_packages=(
    ca-certificates debian-archive-keyring docker-registry gcc git iproute2 libarchive-dev libc6-dev libcrypt-dev
    libcurl4-openssl-dev libglib2.0-dev libmnl-dev libpq-dev libseccomp-dev libsqlite3-dev libssl-dev libyaml-dev
    libzstd-dev meson mmdebstrap nettle-dev nftables ninja-build pkg-config python3 runc skopeo umoci zlib1g-dev zstd
)
test_packages=(
    ccache clang clang-format curl devscripts git-crypt git-lfs gpg gpg-agent libclang-rt-14-dev openssh-server openssl
    postgresql-15 procps python3-pytest shellcheck tzdata util-linux xfsprogs
)

# Unit tests whose suites run under TSan too: what has threads of its own.
threaded_suites=(base http db store pool engine checker scheduler janitor api web worker)

fuzz_seconds=10

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# ---- deps -----------------------------------------------------------------------------------------------------------

# Prints those of the given packages that are not installed.
packages_missing() {
    comm -23 <(printf '%s\n' "$@" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii *//p' | sort -u)
}

# Services of freshly installed packages (PostgreSQL) must not start: tests start what they need.
packages_install() {
    local policy=/usr/sbin/policy-rc.d
    say "installing: $*"
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    [ -n "$(find /var/lib/apt/lists -name '*_Packages*' -print -quit 2>/dev/null)" ] || apt-get update -qq
    if ! apt-get install -qq -y --no-install-recommends "$@" >.cache/apt.log 2>&1; then
        apt-get update -qq # lists that are too old name files that are gone
        apt-get install -qq -y --no-install-recommends "$@" >.cache/apt.log 2>&1 || {
            cat .cache/apt.log >&2
            fail "apt-get could not install: $*"
        }
    fi
    if [ -n "$(trap -p EXIT)" ]; then
        rm -f "$policy"
        trap - EXIT
    fi
}

deps_packages() {
    local wanted=("${run_packages[@]}") missing
    [ "$1" = run ] || wanted+=("${test_packages[@]}")
    command -v dpkg-query >/dev/null || fail "this is not Debian: please install what Debian calls ${wanted[*]}"
    mapfile -t missing < <(packages_missing "${wanted[@]}")
    [ "${#missing[@]}" -gt 0 ] || return 0
    mkdir -p .cache
    [ "$(id -u)" = 0 ] || fail "missing; as root: apt-get install --no-install-recommends ${missing[*]}"
    packages_install "${missing[@]}"
}

deps() {
    local programs
    deps_packages "${1:-test}"
    meson_setup build
    compile build build.ninja # a list from before the last change of a meson.build would be old
    mapfile -t programs < <(ninja -C build -t targets all | sed -n 's#^\(src/resources/weir-resource-[a-z-]*\): .*LINKER$#\1#p')
    compile build "${programs[@]}"
    src/resources/make-rootfs build/src/resources .cache/resource-types
    demo/builder-image .cache/demo-image
}

# ---- build ----------------------------------------------------------------------------------------------------------

# meson_setup DIRECTORY [OPTION...]: configures it unless that was done with the same options already.
meson_setup() {
    local directory=$1
    shift
    local options="${CC:-cc} $*"
    if [ ! -f "$directory/build.ninja" ] || [ "$(cat "$directory/.options" 2>/dev/null)" != "$options" ]; then
        rm -rf "$directory"
        meson setup "$directory" "$@" >/dev/null || {
            tail -n 30 "$directory/meson-logs/meson-log.txt" >&2
            fail "meson could not set up $directory"
        }
        printf '%s' "$options" >"$directory/.options"
    fi
}

# compile DIRECTORY [TARGET...]: says nothing unless something is wrong.
compile() {
    ninja -C "$1" "${@:2}" >"$1/.compile.log" 2>&1 || {
        grep -v '^\[[0-9/]*\] ' "$1/.compile.log" >&2
        return 1
    }
}

build() {
    meson_setup build
    compile build
}

build_asan() {
    meson_setup build-asan -Db_sanitize=address,undefined -Dbuildtype=debug -Doptimization=1
    compile build-asan
}

build_tsan() {
    meson_setup build-tsan -Db_sanitize=thread -Dbuildtype=debug -Doptimization=1
    compile build-tsan
}

# Clang's warnings and the fuzz targets come from one build.
build_clang() {
    CC=clang meson_setup build-clang -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false \
        -Dbuildtype=debug -Doptimization=1
    compile build-clang
}

# ---- test -----------------------------------------------------------------------------------------------------------

# Counts of this run: one line "passed failed skipped what" per stage; and what failed, a line each.
tally=.cache/test/tally failures=.cache/test/failures

start_counting() {
    mkdir -p .cache/test
    : >"$tally"
    : >"$failures"
}

# count FORMAT REPORT WHAT: one stage's report.
count() { tests/tools/tally "$@" 2>>"$failures" >>"$tally"; }

# unit DIRECTORY NAME [SUITE...]: runs the unit tests of a build directory.
unit() {
    local directory=$1 name=$2 suite options=()
    shift 2
    for suite in "$@"; do options+=(--suite "$suite"); done
    mapfile -t tests < <(meson test -C "$directory" --list "${options[@]}" 2>/dev/null |
        sed -n 's/^.* \/ //p' | grep -F -e "$name" | sort -u)
    [ "${#tests[@]}" -gt 0 ] || return 0
    say "unit tests ($directory): ${#tests[@]} programs"
    rm -f "$directory/meson-logs/testlog.json"
    # GLib is not built for TSan: what happens inside it would be reported as a race with itself.
    TSAN_OPTIONS="suppressions=$PWD/tests/tsan.suppressions" \
        meson test -C "$directory" --no-rebuild --quiet --print-errorlogs --timeout-multiplier 4 \
            "${options[@]}" "${tests[@]}" || true
    count meson "$directory/meson-logs/testlog.json" "unit $directory"
}

# fuzz_one TARGET: on all its past crashers, and then some seconds from its corpus.
fuzz_one() {
    local target=$1 name=${1##*/fuzz_} seeds=() past=()
    local corpus=.cache/fuzz/$name crashers=tests/fuzz/crashers/$name log=.cache/fuzz/$name.log
    mkdir -p "$corpus" .cache/fuzz/artifacts
    [ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
    [ ! -d "$crashers" ] || mapfile -t past < <(find "$crashers" -type f)
    if { [ "${#past[@]}" = 0 ] || "$target" "${past[@]}" >"$log" 2>&1; } &&
        "$target" -max_total_time="$fuzz_seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
            -artifact_prefix=".cache/fuzz/artifacts/$name-" "$corpus" "${seeds[@]}" >"$log" 2>&1; then
        say "fuzzed $name for ${fuzz_seconds}s, after ${#past[@]} past crashers"
        return 0
    fi
    tail -n 60 "$log"
    printf 'FAILED fuzz target %s: what made it crash is in .cache/fuzz/artifacts\n' "$name" >>"$failures"
    return 1
}

# fuzz NAME: every target, as many at once as there are processors.
fuzz() {
    local targets target running=0 passed=0 failed=0
    mapfile -t targets < <(find build-clang/tests/fuzz -type f -name "fuzz_*" -perm -u+x 2>/dev/null | grep -F -e "$1" | sort)
    for target in "${targets[@]}"; do
        if [ "$running" -ge "$(nproc)" ]; then
            if wait -n; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
            running=$((running - 1))
        fi
        fuzz_one "$target" &
        running=$((running + 1))
    done
    while [ $((running--)) -gt 0 ]; do
        if wait -n; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
    [ $((passed + failed)) = 0 ] || printf '%d %d 0 fuzz\n' "$passed" "$failed" >>"$tally"
}

# integration NAME [PYTEST OPTION...]: drives the real programs of $WEIR_BUILD.
integration() {
    local name=$1 report=.cache/test/integration.xml options=()
    shift
    [ -z "$name" ] || options=(-k "$name")
    say "integration tests ($WEIR_BUILD)"
    rm -f "$report"
    /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/integration --junitxml "$report" "${options[@]}" "$@" || true
    count junit "$report" integration
}

summary() {
    cat "$failures"
    awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s; exit f > 0 }' "$tally"
}

sanitizer_options() {
    export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
}

run_tests() {
    local name=${1:-}
    deps test
    start_counting
    sanitizer_options
    export WEIR_RESOURCE_TYPES_DIR=$PWD/.cache/resource-types WEIR_BUILD=$PWD/build-asan
    say "building with ASan and UBSan, with TSan, and the fuzz targets"
    build_asan
    build_tsan
    build_clang
    unit build-asan "$name"
    unit build-tsan "$name" "${threaded_suites[@]}"
    fuzz "$name"
    integration "$name" -m "not soak"
    [ -s "$tally" ] || fail "no test is named $name"
    [ -n "$name" ] || cat "$tally"
    summary
}

soak() {
    local minutes=10
    if [ "${1:-}" = --minutes ]; then minutes=${2:?--minutes needs a number}; fi
    deps test
    start_counting
    sanitizer_options
    build_asan
    export WEIR_RESOURCE_TYPES_DIR=$PWD/.cache/resource-types WEIR_BUILD=$PWD/build-asan
    export WEIR_SOAK_MINUTES=$minutes WEIR_SEED=${WEIR_SEED:-$RANDOM}
    say "soak: $minutes minutes, WEIR_SEED=$WEIR_SEED"
    integration "" -m soak -s
    summary
}

# ---- lint -----------------------------------------------------------------------------------------------------------

sources() { find src tests bench demo -name '*.[ch]' -type f 2>/dev/null | sort; }

scripts() {
    find ./do .ci src tests bench demo deploy -type f -not -name '*.[ch]' -print0 2>/dev/null |
        xargs -0 awk 'FNR == 1 && /^#!.*[\/ ](bash|sh)( |$)/ { print FILENAME } { nextfile }'
}

# What the compiler accepts and the house does not. One line: a regular expression (PCRE), a tab, why.
forbidden=$'
\\bg_(mutex|cond|rec_mutex|rw_lock|thread|thread_pool|async_queue|once|private)_\tGLib\'s threads are invisible to TSan: base/thread.h
\\bG(Mutex|Cond|RecMutex|RWLock|Thread|ThreadPool|AsyncQueue|Once|Private)\\b\tGLib\'s threads are invisible to TSan: base/thread.h
\\b(gchar|gint)\\b|\\bgboolean\\b(?! \\w+\\((const )?(void|char|g?constpointer))\tC\'s own types: bool, char, int (callbacks of GLib aside)
\\b(sleep|usleep)\\(\tno sleeping: wait for what happens
\\b(strcpy|strcat|sprintf|vsprintf|gets|tmpnam|mktemp|system|popen)\\(\tunbounded or through a shell
'

lint_forbidden() {
    local pattern why found=0
    while IFS=$'\t' read -r pattern why; do
        [ -n "$pattern" ] || continue
        if find src tests -name '*.[ch]' -print0 | xargs -0 grep -nPH "$pattern" | grep -v 'lint: allowed'; then
            printf '  ^ %s\n' "$why"
            found=1
        fi
    done <<<"$forbidden"
    return "$found"
}

lint_format() { sources | xargs -r clang-format --dry-run -Werror; }
lint_shell() { scripts | xargs -r shellcheck; }
lint_python() {
    find tests bench demo src -name '*.py' -print0 | xargs -0 -r /usr/bin/python3 -c '
import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path).read(), path)
'
}

programs() {
    find build/src -type f -perm -u+x \( -name 'weir*' -o -name fly \) -not -name '*.p' -not -name '*.so*' | sort
}

# Every program is position independent, has a protected stack, RELRO and immediate binding. Whether a call could
# be fortified depends on what a small program calls at all, so that is a compiler flag and not checked here.
lint_hardening() {
    local program output bad=0
    while IFS= read -r program; do
        # A static program has no dynamic symbols that would show its stack protection.
        if ! readelf -d "$program" | grep -q NEEDED; then
            readelf -h "$program" | grep -q "DYN" || { echo "$program: neither dynamic nor static-pie"; bad=1; }
            continue
        fi
        if ! output=$(hardening-check --nofortify --nocfprotection "$program" 2>&1); then
            printf '%s\n' "$output" | grep -E '^[^ ].*:$|no,|unknown' || true
            bad=1
        fi
    done < <(programs)
    return "$bad"
}

lint_clang() { build_clang; }

lint() {
    local bad=0 check
    deps_packages test
    build
    for check in format layers forbidden shell python clang hardening; do
        say "lint: $check"
        if [ "$check" = layers ]; then
            tests/layers || bad=1
        else
            "lint_$check" || bad=1
        fi
    done
    return "$bad"
}

# ---- the rest -------------------------------------------------------------------------------------------------------

main() {
    local command=${1:-help}
    shift || true
    case "$command" in
    deps) deps "$@" ;;
    build)
        deps_packages run
        say "building into build/"
        build
        ;;
    run)
        deps run
        say "building into build/"
        build
        exec demo/run "$@"
        ;;
    test) run_tests "$@" ;;
    soak) soak "$@" ;;
    bench)
        deps test
        build
        exec bench/run "$@"
        ;;
    fmt)
        deps_packages test
        sources | xargs -r clang-format -i
        ;;
    lint) lint ;;
    ui) fail "The web interface is not part of this tree yet: '/' of the server is one static page until it comes." ;;
    help | -h | --help) usage ;;
    *)
        usage >&2
        exit 1
        ;;
    esac
}

main "$@"
