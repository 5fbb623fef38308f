#!/bin/sh
# Keeps one server for a test: keeper.sh FOLDER PROGRAM ARGUMENTS...
# A word on standard input is an order, a line on standard output says that it was followed. When
# the input ends, however the test process died, the server is killed and its folder removed.
folder=$1
shift
pid=

# To the whole process group as well: a server that copies its data to disk or to a replica has a
# child. In its first moments it has no group yet.
signal() {
    [ -z "$pid" ] || kill -s "$1" -- "$pid" "-$pid" 2>/dev/null
}

end_server() {
    signal KILL
    [ -z "$pid" ] || wait "$pid" 2>/dev/null
    pid=
}

# Ctrl-C reaches the test as well, and the end of the input follows.
trap '' INT TERM HUP
while read -r order; do
    case $order in
        start)
            # The signal is for the case that this script is killed.
            setsid setpriv --pdeathsig KILL -- "$@" </dev/null >>"$folder/log" 2>&1 &
            pid=$!
            ;;
        kill) end_server ;;
        pause) signal STOP ;;
        resume) signal CONT ;;
    esac
    echo "$pid"
done
end_server
# The server's child is nobody's to wait for, and may write a last file while the folder goes.
for _ in 1 2 3 4 5; do
    rm -rf -- "$folder" 2>/dev/null && break
    sleep 0.1
done
