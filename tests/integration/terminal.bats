load helper

teardown() { remove_all; }

# Types into a terminal session and prints what appears: session COMMAND... < expect script
# In it, `type KEYS ANSWER STATUS` types until that is the answer, once each two seconds, else it ends
# with the status; `ask` does so with a line.
session() {
    expect -c "set timeout 60; log_user 1"'
        proc type {keys answer status} {
            upvar spawn_id spawn_id
            for {set n 0} {$n < 30} {incr n} {
                send $keys
                expect -timeout 2 $answer return
            }
            exit $status
        }
        proc ask {line answer status} { upvar spawn_id spawn_id; type "$line\r" $answer $status }
        '"spawn -noecho $1; $2"
}

@test "-it gives a terminal that echoes, resizes and ends with the program's status" {
    run -6 session "berth run --rm -it busybox sh" '
        stty rows 33 columns 99 < $spawn_out(slave,name)
        expect "# "
        send "tty\r"
        expect -re {/dev/(pts/0|console)} {} timeout { exit 90 }
        ask "stty size" "33 99" 91
        stty rows 44 columns 120 < $spawn_out(slave,name)
        exec kill -WINCH [exp_pid]
        ask "stty size" "44 120" 92
        send "exit 6\r"
        expect eof
        catch wait result
        exit [lindex $result 3]'
}

@test "control-c in the terminal interrupts the program, not berth" {
    run -0 session "berth run --rm -it busybox sh" '
        expect "# "
        send "echo \$((60+6)); sleep 100\r"
        expect "66\r" {} timeout { exit 89 }
        # A shell that is just about to give the terminal to its child lets none of both have it.
        type "\003" "# " 90
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
        ask "\recho again-\$x" "again-kept" 90
        send "exit 0\r"
        expect eof
        exit 0'
}

@test "exec -it has a terminal of its own" {
    berth run -d --name base busybox sleep 1000 > /dev/null
    run -3 session "berth exec -it base sh" '
        stty rows 20 columns 70 < $spawn_out(slave,name)
        expect "# "
        exec kill -WINCH [exp_pid]
        ask "stty size" "20 70" 90
        send "exit 3\r"
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
    run session "berth run -it --name hung busybox sh -c {echo begun; exec sleep 100}" '
        expect "begun\r"
        close
        exit 0'
    wait_until 20 bash -c '! pgrep -r S,R,D -f "berth run -it --name [h]ung"'
    berth rm -f hung
}
