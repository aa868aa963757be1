load helper

teardown() { remove_all; }

# Types into a terminal session and prints what appears: session COMMAND... < expect script
session() {
    local seconds=10
    # A microVM may be emulated.
    [ -z "${BERTH_ISOLATION:-}" ] || seconds=60
    expect -c "set timeout $seconds; log_user 1; spawn -noecho $1; $2"
}

@test "-it gives a terminal that echoes, resizes and ends with the program's status" {
    run -6 session "berth run --rm -it busybox sh" '
        stty rows 33 columns 99 < $spawn_out(slave,name)
        expect "# "
        send "tty; stty size\r"
        expect -re {/dev/(pts/0|console)} {} timeout { exit 90 }
        expect "33 99" {} timeout { exit 91 }
        stty rows 44 columns 120 < $spawn_out(slave,name)
        exec kill -WINCH [exp_pid]
        sleep 0.5
        send "stty size\r"
        expect "44 120" {} timeout { exit 92 }
        send "exit 6\r"
        expect eof
        catch wait result
        exit [lindex $result 3]'
}

@test "control-c in the terminal interrupts the program, not berth" {
    run -0 session "berth run --rm -it busybox sh" '
        expect "# "
        send "sleep 100\r"
        sleep 0.5
        send "\003"
        expect "# " {} timeout { exit 90 }
        send "echo still \$((40+2))\r"
        expect "still 42" {} timeout { exit 91 }
        send "exit 0\r"
        expect eof
        catch wait result
        exit [lindex $result 3]'
}

@test "the detach keys leave the container running, attach comes back" {
    run -0 session "berth run -it --name box busybox sh" '
        expect "# "
        send "x=kept\r"
        expect "# "
        send "\020\021"
        expect eof
        exit 0'
    is_running box
    run -0 session "berth attach box" '
        send "\recho again-\$x\r"
        expect "again-kept" {} timeout { exit 90 }
        send "exit 0\r"
        expect eof
        exit 0'
}

@test "exec -it has a terminal of its own" {
    berth run -d --name base busybox sleep 60 > /dev/null
    run -3 session "berth exec -it base sh" '
        stty rows 20 columns 70 < $spawn_out(slave,name)
        expect "# "
        exec kill -WINCH [exp_pid]
        sleep 0.3
        send "stty size; exit 3\r"
        expect "20 70" {} timeout { exit 90 }
        expect eof
        catch wait result
        exit [lindex $result 3]'
}

@test "-t without a terminal on standard input says so with -i" {
    run -1 bash -c 'berth run --rm -it busybox true < /dev/null' || [ "$status" = 125 ]
    expect_text "not a TTY"
}

@test "--detach-keys chooses other keys" {
    run -0 session "berth run -it --name keyed --detach-keys ctrl-x,q busybox sh" '
        expect "# "
        send "\030q"
        expect eof
        exit 0'
    is_running keyed
}

@test "a terminal that is hung up leaves no client behind" {
    run session "berth run -it --name hung busybox sleep 100" '
        sleep 0.5
        close
        exit 0'
    wait_until 20 bash -c '! pgrep -r S,R,D -f "berth run -it --name [h]ung"'
    berth rm -f hung
}
