#!/bin/sh
# Checks docs/ARCHITECTURE.md's table "May use, may not use": which folder includes what of
# ours, and that the cores reach no loop, socket, file, clock or thread.
set -u
cd "$(dirname "$0")/../.." || exit 1
bad=0

# Every include of ours in folder $1 must match one of the prefixes that follow.
only() {
    folder=$1
    shift
    for file in "$folder"/*.[ch]; do
        [ -e "$file" ] || continue
        for path in $(sed -n 's/^#include "\(.*\)".*/\1/p' "$file"); do
            ok=no
            for prefix in "$@"; do
                case $path in "$prefix"*) ok=yes ;; esac
            done
            if [ $ok = no ]; then
                echo "$file includes $path: $folder may use only: $*"
                bad=1
            fi
        done
    done
}

# Files of folder $1 must not mention the pattern $2 ($3 says what it stands for).
never() {
    folder=$1
    [ -d "$folder" ] || return 0
    if grep -snE "$2" "$folder"/*.[ch]; then
        echo "$folder must not use $3"
        bad=1
    fi
}

pure='#include <(uv|sys/socket|sys/stat|sys/timerfd|sys/random|pthread|threads|fcntl|unistd|netinet/.*|arpa/.*|poll|time|sys/time)\.h>|common/(random|http/|log)|clock_(mono|wall)_'

only common common/ 
never common '#include "(controller|agent|proto)/|#include <uv\.h>' 'anything above it, or the loop'
only common/http common/
only proto proto/ common/
only controller/core controller/core/ common/
never controller/core "$pure" 'loops, sockets, files, clocks, threads'
only agent/core agent/core/ common/
never agent/core "$pure" 'loops, sockets, files, clocks, threads'
only controller/store controller/store/ common/
only controller/hub controller/hub/ proto/ common/
only controller/api controller/api/ controller/core/controller_core.h common/
only controller/cli controller/cli/ common/
never controller '#include "agent/' 'the agent'
never controller/api '#include "agent/' 'the agent'
only agent/link agent/link/ proto/ common/
only agent/runtime agent/runtime/ agent/warden/warden_client.h agent/warden/init_proto.h common/
only agent/gateway agent/gateway/ agent/core/ agent/runtime/ common/
only agent/warden agent/warden/ common/
never agent/warden 'common/http/' 'HTTP'
never agent '#include "controller/' 'the controller'

# nng is known to one file, libcgroup and clone to the warden.
for file in $(grep -rlE '#include <nng/' common proto controller agent); do
    [ "$file" = proto/wire_stream.c ] || { echo "$file uses nng: only proto/wire_stream.c may"; bad=1; }
done
for file in $(grep -rlE '#include <(libcgroup|seccomp)\.h>' common proto controller agent); do
    case $file in
    agent/warden/*) ;;
    *) echo "$file uses libcgroup or libseccomp: only the warden may"; bad=1 ;;
    esac
done
exit $bad
