#!/bin/sh
# Tests greet.sh: prints one line per case, fails when one does not hold.
failed=0

expect() {
    if [ "$1" = "$2" ]; then
        echo "ok      $2"
    else
        echo "FAILED  expected '$2', got '$1'"
        failed=1
    fi
}

expect "$(./greet.sh)" "Hello, world!"
expect "$(./greet.sh weir)" "Hello, weir!"
exit "$failed"
