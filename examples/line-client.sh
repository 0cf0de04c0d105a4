#!/usr/bin/env bash
# A worker in shell that talks to `leveret serve` over nc. It makes a queue, puts three jobs in, works on
# them one by one, and sends the one that it could not do back to try again.
#
#     examples/line-client.sh [HOST [PORT]]
set -euo pipefail
export LC_ALL=C # lengths are bytes

coproc nc "${1:-localhost}" "${2:-5672}"

# Sends one request and leaves the first line of the answer in $reply.
ask() {
    printf '%s\n' "$1" >&"${COPROC[1]}"
    IFS= read -r reply <&"${COPROC[0]}"
}

ask 'QUEUE pictures.dead'
ask 'QUEUE pictures dead-letter-exchange="" dead-letter-key=pictures.dead'
for job in cat.png notes.txt hare.png; do
    ask "PUB \"\" pictures :$job"
    echo "published $job: $reply"
done

while ask 'GET pictures' && [[ $reply == MSG* ]]; do
    read -r _ tag _ <<<"$reply"
    length=${reply##*\{}
    IFS= read -r -N "${length%\}}" job <&"${COPROC[0]}"
    IFS= read -r _ <&"${COPROC[0]}" # the line's end behind the body
    if [[ $job == *.png ]]; then
        ask "ACK $tag"
        echo "worked on $job: $reply"
    else
        ask "REJECT $tag error=\"$job is not a picture\""
        echo "could not work on $job: $reply"
    fi
done

ask 'MOVE pictures.dead to pictures'
echo "sent back to try again: $reply"
ask 'PURGE pictures'
ask 'QUIT'
