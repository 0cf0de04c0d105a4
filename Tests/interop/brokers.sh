# Sourced by the scripts here and by Benchmarks/amqp/side-by-side: starts and ends Leveret and RabbitMQ, each on an
# address of this machine's loopback only, with its files below a folder that the caller names, and installs Debian
# packages where that is allowed.

# install PACKAGE…: installs what is missing of these, or says the line to type and fails.
install() {
    local missing=() as_root=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q ' installed$' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get > /dev/null || { [ "$(id -u)" != 0 ] && ! sudo -n true 2> /dev/null; }; then
        echo "missing: ${missing[*]} (Debian's names); apt-get install them and run this again" >&2
        return 1
    fi
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    echo "installing ${missing[*]}"
    "${as_root[@]}" apt-get update -q > /dev/null
    # A package's own service is not wanted: brokers are started here, on loopback, and ended again.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -q --no-install-recommends "${missing[@]}" > /dev/null
}

# answers ADDRESS PORT: whether an AMQP broker there sends connection.start, the first thing that a client waits for.
answers() {
    python3 - "$1" "$2" <<'END'
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1) as peer:
        peer.sendall(b"AMQP\0\0\x09\1")
        sys.exit(peer.recv(1) != b"\1")
except OSError:
    sys.exit(1)
END
}

# until_it_answers PID ADDRESS PORT LOG
until_it_answers() {
    for _ in $(seq 600); do
        answers "$2" "$3" && return 0
        kill -0 "$1" 2> /dev/null || break
        sleep 0.1
    done
    echo "no broker at $2:$3; the end of its log:" >&2
    tail -20 "$4" >&2
    return 1
}

started=()

# start_leveret PROGRAM FOLDER ADDRESS PORT [OPTION…]: leaves its process in $broker, and the time of its start in
# $started_at.
start_leveret() {
    local program="$1" folder="$2" address="$3" port="$4"
    shift 4
    mkdir -p "$folder"
    started_at=$EPOCHREALTIME
    "$program" serve --db "$folder/leveret.db" --listen "$address:$port" "$@" > /dev/null 2> "$folder/server.log" &
    broker=$!
    started+=("$broker")
    until_it_answers "$broker" "$address" "$port" "$folder/server.log"
}

# start_rabbitmq FOLDER ADDRESS PORT: the same. It has a name server of its own (epmd) at PORT + 1; the node's other
# port is PORT + 20000. All of them are on loopback, and nothing outside of FOLDER is read or written but the program
# itself.
start_rabbitmq() {
    local folder="$1" address="$2" port="$3"
    mkdir -p "$folder/mnesia" "$folder/log"
    echo '[].' > "$folder/plugins"
    cat > "$folder/rabbitmq.conf" <<END
listeners.tcp.1 = $address:$port
log.console = false
disk_free_limit.absolute = 50MB
END
    ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$((port + 1)) epmd > /dev/null 2>&1 &
    started+=("$!")
    started_at=$EPOCHREALTIME
    # With ALLOW_INPUT the script becomes the broker instead of watching over one, so that there is one process to end.
    env -u RABBITMQ_HOST HOME="$folder" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$((port + 1)) \
        RABBITMQ_ALLOW_INPUT=1 RABBITMQ_NODENAME="interop$port@localhost" RABBITMQ_DIST_PORT=$((port + 20000)) \
        RABBITMQ_MNESIA_BASE="$folder/mnesia" RABBITMQ_LOG_BASE="$folder/log" RABBITMQ_ENABLED_PLUGINS_FILE="$folder/plugins" \
        RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_PID_FILE="$folder/pid" \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
        /usr/lib/rabbitmq/bin/rabbitmq-server -noinput > "$folder/server.log" 2>&1 < /dev/null &
    broker=$!
    started+=("$broker")
    until_it_answers "$broker" "$address" "$port" "$folder/server.log"
}

# stop_brokers: ends all that was started here, stopped or not, and waits until it is gone.
stop_brokers() {
    local process
    for process in "${started[@]}"; do
        kill "$process" 2> /dev/null && kill -CONT "$process" || continue
        wait "$process" 2> /dev/null || true
    done
    started=()
}
