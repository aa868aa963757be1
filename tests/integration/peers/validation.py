"""Runs cases of the runtime specification with two runtimes, side by side.

    validation.py OUR_RUNTIME THEIR_RUNTIME ROOTFS SKIPS [NAME...]

The cases are those of the runtime-tools validation suite, by its names; the checks are our own, and
need no Go and no source package (runtime_tools.bats runs the suite itself). Prints a table, and ends
with 1 when a case fails with OUR_RUNTIME, whatever THEIR_RUNTIME makes of it, or when a case of SKIPS
(lines "name: reason") exists here after all. With NAMEs, only these cases.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

NAMESPACES = ["pid", "net", "mnt", "ipc", "uts"]
CASES = []


def case(function):
    CASES.append(function)
    return function


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def same(found, expected, what="output"):
    check(found == expected, f"{what}: {found!r}, not {expected!r}")


def wait_for(condition, what):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"not within ten seconds: {what}")


class Container:
    """One bundle and one id, below one runtime. Everything goes when the case ends."""

    def __init__(self, runtime, rootfs, directory):
        self.runtime = runtime
        self.directory = directory
        self.id = "validation-" + os.path.basename(directory)
        self.bundle = os.path.join(directory, "bundle")
        self.rootfs = os.path.join(self.bundle, "rootfs")
        shutil.copytree(rootfs, self.rootfs, symlinks=True)
        subprocess.run(["runc", "spec", "-b", self.bundle], check=True)
        with open(os.path.join(self.bundle, "config.json")) as file:
            self.config = json.load(file)
        self.config["process"]["terminal"] = False
        self.config["root"]["readonly"] = False
        self.linux = self.config["linux"]
        self.process = self.config["process"]
        self.cgroup = "/validation-" + os.path.basename(directory)

    def write(self):
        with open(os.path.join(self.bundle, "config.json"), "w") as file:
            json.dump(self.config, file)

    def call(self, *words):
        """Status, output and errors of one command of the runtime."""
        out, err = (tempfile.TemporaryFile("w+") for _ in range(2))
        done = subprocess.run([self.runtime, "--root", os.path.join(self.directory, "run"), *words],
                              stdout=out, stderr=err, stdin=subprocess.DEVNULL, timeout=60)
        out.seek(0)
        err.seek(0)
        return done.returncode, out.read(), err.read()

    def must(self, *words):
        status, out, err = self.call(*words)
        check(status == 0, f"{' '.join(words)}: status {status}: {err.strip()}")
        return out

    def must_fail(self, *words):
        status, _, err = self.call(*words)
        check(status != 0, f"{' '.join(words)}: succeeded")
        check(err.strip() != "", f"{' '.join(words)}: failed without a message")

    def sh(self, script):
        self.process["args"] = ["sh", "-c", script]

    def run(self, script=None):
        """What a whole run prints."""
        if script is not None:
            self.sh(script)
        self.write()
        return self.must("run", "-b", self.bundle, self.id)

    def create(self, *options):
        self.write()
        return self.must("create", "-b", self.bundle, *options, self.id)

    def start_sleeper(self):
        self.process["args"] = ["sleep", "100"]
        self.create()
        self.must("start", self.id)

    def state(self):
        return json.loads(self.must("state", self.id))

    def wait_stopped(self):
        wait_for(lambda: self.state()["status"] == "stopped", "stopped")

    def path(self, *parts):
        return os.path.join(self.rootfs, *parts)

    def read(self, *parts):
        with open(self.path(*parts)) as file:
            return file.read()

    def hook(self, name, script):
        self.config.setdefault("hooks", {}).setdefault(name, []).append(
            {"path": "/bin/sh", "args": ["sh", "-c", script]})

    def add_namespace(self, kind, path=None):
        entries = [n for n in self.linux["namespaces"] if n["type"] != kind]
        entries.append({"type": kind, **({"path": path} if path else {})})
        self.linux["namespaces"] = entries

    def clean(self):
        self.call("delete", "--force", self.id)
        for top in (self.cgroup, self.cgroup + "-parent"):
            for found in cgroups_named(top):
                for folder, _, _ in os.walk(found, topdown=False):
                    try:
                        os.rmdir(folder)
                    except OSError:
                        pass


def cgroups_named(path):
    base = "/sys/fs/cgroup"
    tops = [base] + [os.path.join(base, name) for name in os.listdir(base)]
    return [top + path for top in tops if os.path.isdir(top + path)]


def cgroup_value(path, *names):
    """The first of these files that the cgroup has, in any hierarchy: v1's name, v2's name."""
    for name in names:
        for folder in cgroups_named(path):
            file = os.path.join(folder, name)
            if os.path.exists(file):
                with open(file) as opened:
                    return opened.read().strip()
    raise AssertionError(f"{path} has none of {names}")


# --- config.json: process and root -------------------------------------------------------------


@case
def default(c):
    same(c.run("echo ran"), "ran\n")


@case
def hostname(c):
    c.config["hostname"] = "harbour"
    same(c.run("hostname"), "harbour\n")


@case
def process(c):
    c.process["cwd"] = "/tmp"
    c.process["env"].append("VALIDATION=yes, really")
    same(c.run('pwd; echo "$VALIDATION"'), "/tmp\nyes, really\n")


@case
def process_cwd_missing_is_made(c):
    c.process["cwd"] = "/made/by/runtime"
    same(c.run("pwd"), "/made/by/runtime\n")


@case
def process_capabilities(c):
    sets = ["CAP_KILL", "CAP_NET_RAW"]
    c.process["capabilities"] = {k: sets for k in
                                 ("bounding", "permitted", "effective", "inheritable", "ambient")}
    same(c.run("grep Cap /proc/self/status | cut -f2 | sort -u"), "0000000000002020\n")


@case
def process_rlimits(c):
    c.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
                            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    same(c.run("ulimit -Sn; ulimit -Hn; ulimit -c"), "100\n200\n0\n")


@case
def process_rlimits_fail(c):
    c.process["rlimits"] = [{"type": "RLIMIT_TEST", "soft": 1, "hard": 1}]
    c.write()
    c.must_fail("run", "-b", c.bundle, c.id)


@case
def process_user(c):
    c.process["user"] = {"uid": 10, "gid": 11, "additionalGids": [5, 6], "umask": 0o27}
    same(c.run("id -u; id -g; grep Groups /proc/self/status | xargs; umask"),
         "10\n11\nGroups: 5 6\n0027\n")


@case
def process_oom_score_adj(c):
    c.process["oomScoreAdj"] = 500
    same(c.run("cat /proc/self/oom_score_adj"), "500\n")


@case
def process_no_new_privileges(c):
    c.process["noNewPrivileges"] = True
    same(c.run("grep NoNewPrivs /proc/self/status | cut -f2"), "1\n")


@case
def root_readonly_true(c):
    c.config["root"]["readonly"] = True
    same(c.run("touch /x 2>/dev/null || echo refused"), "refused\n")


@case
def root_readonly_false(c):
    same(c.run("touch /x && echo made"), "made\n")


@case
def misc_props(c):
    c.config["unknownProperty"] = {"a": 1}
    c.config["annotations"] = {"org.unknown": "value"}
    same(c.run("echo ran"), "ran\n")


@case
def misc_props_invalid(c):
    c.config["process"]["args"] = "not a list"
    c.write()
    c.must_fail("create", "-b", c.bundle, c.id)


@case
def mounts(c):
    source = os.path.join(c.directory, "source")
    os.mkdir(source)
    with open(os.path.join(source, "file"), "w") as file:
        file.write("from the host\n")
    c.config["mounts"] += [
        {"destination": "/t", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "noexec", "size=64k", "mode=1700"]},
        {"destination": "/t/deep/bind", "type": "bind", "source": source, "options": ["bind", "ro"]},
    ]
    same(c.run("cat /t/deep/bind/file; touch /t/deep/bind/x 2>/dev/null || echo refused; "
               "stat -c %a /t; grep -c ' /t tmpfs .*nosuid.*noexec.*size=64k' /proc/mounts"),
         "from the host\nrefused\n1700\n1\n")


# --- config.json: linux --------------------------------------------------------------------------


@case
def linux_devices(c):
    c.linux["devices"] = [
        {"path": "/dev/test-c", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640,
         "uid": 3, "gid": 4},
        {"path": "/dev/test-b", "type": "b", "major": 7, "minor": 0, "fileMode": 0o600},
        {"path": "/dev/test-p", "type": "p", "fileMode": 0o666},
    ]
    same(c.run("stat -c '%F %t:%T %a %u:%g' /dev/test-c /dev/test-b; stat -c '%F %a' /dev/test-p"),
         "character special file a:e5 640 3:4\nblock special file 7:0 600 0:0\nfifo 666\n")


@case
def linux_devices_default(c):
    same(c.run("for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done; "
               "for d in ptmx fd stdin stdout stderr; do readlink /dev/$d; done"),
         "pts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n")


@case
def linux_masked_paths(c):
    os.mkdir(c.path("masked"))
    open(c.path("masked", "inside"), "w").close()
    with open(c.path("masked-file"), "w") as file:
        file.write("secret")
    c.linux["maskedPaths"] = ["/masked", "/masked-file", "/not-there"]
    same(c.run("ls /masked; cat /masked-file; echo end"), "end\n")


@case
def linux_readonly_paths(c):
    os.mkdir(c.path("ro"))
    open(c.path("ro-file"), "w").close()
    c.linux["readonlyPaths"] = ["/ro", "/ro-file", "/not-there"]
    same(c.run("touch /ro/x 2>/dev/null || echo 1; (echo > /ro-file) 2>/dev/null || echo 2"),
         "1\n2\n")


@case
def linux_sysctl(c):
    c.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4321"}
    same(c.run("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax"), "1\n4321\n")


@case
def linux_seccomp(c):
    c.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
                          "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO",
                                        "errnoRet": 28}]}
    same(c.run("mkdir /x 2>&1; echo end"),
         "mkdir: can't create directory '/x': No space left on device\nend\n")


def propagation(c, word, expected):
    c.linux["rootfsPropagation"] = word
    same(c.run("awk '$5 == \"/\" { for (i = 7; $i != \"-\"; i++) printf \"%s \", $i }' "
               "/proc/self/mountinfo | sed 's/:[0-9]*//g'").strip(), expected)


@case
def linux_rootfs_propagation_shared(c):
    propagation(c, "shared", "shared")


@case
def linux_rootfs_propagation_private(c):
    propagation(c, "private", "")


@case
def linux_rootfs_propagation_unbindable(c):
    propagation(c, "unbindable", "unbindable")


def namespace_of(kind):
    return os.readlink(f"/proc/self/ns/{kind}")


def own_namespaces(kinds):
    """A script that prints them, a line for each."""
    return f"for kind in {' '.join(kinds)}; do readlink /proc/self/ns/$kind; done"


@case
def linux_ns_nopath(c):
    c.add_namespace("cgroup")
    found = c.run(own_namespaces(NAMESPACES + ["cgroup"]))
    same(len(found.split()), len(NAMESPACES) + 1, "namespaces")
    for line, kind in zip(found.split(), NAMESPACES + ["cgroup"]):
        check(line.startswith(kind + ":"), line)
        check(line != namespace_of(kind), f"{kind} is the host's")


@case
def linux_ns_itype(c):
    c.linux["namespaces"] = [{"type": "mount"}, {"type": "pid"}]
    c.config.pop("hostname")
    found = c.run(own_namespaces(["net", "ipc", "uts"]))
    same(found.split(), [namespace_of(kind) for kind in ("net", "ipc", "uts")])


@case
def linux_ns_path(c):
    kinds = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid"}
    holder = subprocess.Popen(["unshare", "--net", "--ipc", "--uts", "--pid", "--fork", "sleep", "60"],
                              stderr=subprocess.DEVNULL)
    try:
        children = f"/proc/{holder.pid}/task/{holder.pid}/children"
        wait_for(lambda: open(children).read().strip(), "the holder of the namespaces")
        pid = open(children).read().split()[0]
        c.config.pop("hostname")
        for kind, name in kinds.items():
            c.add_namespace(kind, f"/proc/{pid}/ns/{name}")
        wanted = [os.readlink(f"/proc/{pid}/ns/{name}") for name in kinds.values()]
        same(c.run(own_namespaces(kinds.values())).split(), wanted)
    finally:
        subprocess.run(["kill", "-9", *open(children).read().split()], check=False)
        holder.wait()


@case
def linux_ns_path_type(c):
    c.config.pop("hostname")
    c.add_namespace("ipc", "/proc/self/ns/net")
    c.write()
    c.must_fail("run", "-b", c.bundle, c.id)


def id_mappings(c):
    c.add_namespace("user")
    mapping = [{"containerID": 0, "hostID": 100000, "size": 1000}]
    c.linux["uidMappings"] = c.linux["gidMappings"] = mapping
    for folder, folders, files in os.walk(c.rootfs):
        for name in [".", *folders, *files]:
            os.lchown(os.path.join(folder, name), 100000, 100000)
    above = c.bundle
    while above != "/":
        os.chmod(above, os.stat(above).st_mode | 0o755)
        above = os.path.dirname(above)


@case
def linux_uid_mappings(c):
    id_mappings(c)
    same(c.run("cat /proc/self/uid_map | xargs; id -u"), "0 100000 1000\n0\n")


@case
def linux_gid_mappings(c):
    id_mappings(c)
    same(c.run("cat /proc/self/gid_map | xargs; id -g"), "0 100000 1000\n0\n")


# --- cgroups, by absolute and relative paths ---------------------------------------------------------


def cgroup_case(resources, checks):
    """Two cases of one kind of limit. The names of files are v1's, then v2's, with their values."""

    def absolute(c):
        c.linux["cgroupsPath"] = c.cgroup
        run_limits(c, c.cgroup)

    def relative(c):
        c.linux["cgroupsPath"] = c.cgroup[1:]
        c.linux["resources"] = resources
        c.start_sleeper()
        with open(f"/proc/{c.state()['pid']}/cgroup") as file:
            check(c.cgroup in file.read(), "the process is not in the cgroup")
        check(cgroups_named(c.cgroup) != [], "there is no such cgroup")

    def run_limits(c, path):
        c.linux["resources"] = resources
        c.start_sleeper()
        for names, values in checks:
            check(cgroup_value(path, *names) in values, f"{names[0]}: {cgroup_value(path, *names)}")

    return absolute, relative


for kind, resources, checks in [
    ("memory", {"memory": {"limit": 50593792, "reservation": 33554432}},
     [(("memory.limit_in_bytes", "memory.max"), ["50593792"]),
      (("memory.soft_limit_in_bytes", "memory.low"), ["33554432"])]),
    ("cpus", {"cpu": {"shares": 1024, "quota": 100000, "period": 50000, "cpus": "0", "mems": "0"}},
     [(("cpu.cfs_quota_us", "cpu.max"), ["100000", "100000 50000"]),
      (("cpu.shares", "cpu.weight"), ["1024", "39", "100"]), (("cpuset.cpus",), ["0"])]),
    ("pids", {"pids": {"limit": 1000}}, [(("pids.max",), ["1000"])]),
    ("devices", {"devices": [{"allow": False, "access": "rwm"},
                             {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]},
     []),
]:
    absolute, relative = cgroup_case(resources, checks)
    absolute.__name__ = f"linux_cgroups_{kind}"
    relative.__name__ = f"linux_cgroups_relative_{kind}"
    CASES.extend([absolute, relative])


@case
def linux_cgroups_devices_enforced(c):
    c.linux["cgroupsPath"] = c.cgroup
    c.linux["devices"] = [{"path": "/dev/control", "type": "c", "major": 10, "minor": 237}]
    c.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"},
                                        {"allow": True, "type": "c", "major": 10, "minor": 237,
                                         "access": "r"}]}
    same(c.run("(: < /dev/control) && echo read; (: > /dev/control) 2>/dev/null || echo refused"),
         "read\nrefused\n")


# --- life cycle ------------------------------------------------------------------------------------


@case
def create(c):
    c.write()
    c.must_fail("create")
    c.must_fail("create", "-b", c.directory + "/not-there", c.id)
    c.sh("echo > /started")
    c.create()
    same(c.state()["status"], "created", "status")
    check(not os.path.exists(c.path("started")), "the program runs before start")
    c.must_fail("create", "-b", c.bundle, c.id)


@case
def start(c):
    c.must_fail("start", "not-there")
    c.must_fail("start")
    c.sh("echo > /started; sleep 100")
    c.create()
    c.must("start", c.id)
    wait_for(lambda: os.path.exists(c.path("started")), "the program runs")
    c.must_fail("start", c.id)
    same(c.state()["status"], "running", "status")


@case
def start_stopped(c):
    c.sh("exit 0")
    c.create()
    c.must("start", c.id)
    c.wait_stopped()
    c.must_fail("start", c.id)


@case
def state(c):
    c.must_fail("state", "not-there")
    c.must_fail("state")
    c.config["annotations"] = {"org.test": "value"}
    c.start_sleeper()
    found = c.state()
    same(found["id"], c.id, "id")
    same(found["bundle"], os.path.realpath(c.bundle), "bundle")
    same(found["annotations"], {"org.test": "value"}, "annotations")
    check(found["ociVersion"].startswith("1."), "ociVersion")
    check(os.path.isdir(f"/proc/{found['pid']}"), "pid")


@case
def kill(c):
    c.must_fail("kill", "not-there", "KILL")
    c.must_fail("kill")
    c.start_sleeper()
    c.must("kill", c.id, "KILL")
    c.wait_stopped()


@case
def kill_no_effect(c):
    c.sh("exit 0")
    c.create()
    c.must("start", c.id)
    c.wait_stopped()
    before = c.state()
    c.must_fail("kill", c.id, "KILL")
    same(c.state(), before, "state")


@case
def killsig(c):
    for signal in ("TERM", "USR1", "USR2", "SIGHUP", "12", "10"):
        c.sh("trap 'exit 0' TERM USR1 USR2 HUP 10 12; echo > /ready; while :; do sleep 0.05; done")
        c.create()
        c.must("start", c.id)
        wait_for(lambda: os.path.exists(c.path("ready")), "ready")
        os.unlink(c.path("ready"))
        c.must("kill", c.id, signal)
        c.wait_stopped()
        c.must("delete", c.id)


@case
def delete(c):
    c.must_fail("delete", "not-there")
    c.must_fail("delete")
    c.start_sleeper()
    c.must_fail("delete", c.id)
    same(c.state()["status"], "running", "status")
    c.must("kill", c.id, "KILL")
    c.wait_stopped()
    c.must("delete", c.id)
    c.must_fail("state", c.id)


@case
def delete_resources(c):
    c.linux["cgroupsPath"] = c.cgroup
    c.linux["resources"] = {"pids": {"limit": 10}}
    c.start_sleeper()
    check(cgroups_named(c.cgroup) != [], "there is no cgroup")
    c.must("delete", "--force", c.id)
    same(cgroups_named(c.cgroup), [], "cgroups")


@case
def delete_only_create_resources(c):
    parent = c.cgroup + "-parent"
    hierarchies = [os.path.dirname(found) for found in cgroups_named("/cgroup.procs")] or \
        [top for top in [os.path.join("/sys/fs/cgroup", n) for n in os.listdir("/sys/fs/cgroup")]
         if os.path.exists(top + "/cgroup.procs")]
    for top in hierarchies:
        os.mkdir(top + parent)
    c.linux["cgroupsPath"] = parent + "/child"
    c.start_sleeper()
    c.must("delete", "--force", c.id)
    same(len(cgroups_named(parent)), len(hierarchies), "cgroups that were there before")
    same(cgroups_named(parent + "/child"), [], "cgroups of the container")


@case
def config_updates_without_affect(c):
    c.sh("echo old > /which")
    c.create()
    c.sh("echo new > /which")
    c.write()
    c.must("start", c.id)
    c.wait_stopped()
    same(c.read("which"), "old\n")


@case
def pidfile(c):
    c.process["args"] = ["sleep", "100"]
    file = os.path.join(c.directory, "pid")
    c.create("--pid-file", file)
    with open(file) as opened:
        same(int(opened.read()), c.state()["pid"], "pid")


# --- hooks -----------------------------------------------------------------------------------------


def log_of(c):
    return os.path.join(c.directory, "log")


@case
def hooks(c):
    log = log_of(c)
    for name in ("prestart", "createRuntime", "poststart", "poststop"):
        c.hook(name, f"echo {name}-1 >> {log}")
        c.hook(name, f"echo {name}-2 >> {log}")
    c.run("true")
    same(open(log).read().split(),
         [f"{name}-{n}" for name in ("prestart", "createRuntime", "poststart", "poststop") for n in "12"])


@case
def hooks_stdin(c):
    log = log_of(c)
    statuses = {"prestart": ["created", "creating"], "createRuntime": ["created", "creating"],
                "poststart": ["running"], "poststop": ["stopped"]}
    for name in statuses:
        c.hook(name, f"cat > {log}.{name}")
    c.config["annotations"] = {"org.test": "value"}
    c.run("sleep 0.2")
    for name, allowed in statuses.items():
        found = json.load(open(f"{log}.{name}"))
        same(found["id"], c.id, f"{name}: id")
        same(found["bundle"], os.path.realpath(c.bundle), f"{name}: bundle")
        same(found.get("annotations"), {"org.test": "value"}, f"{name}: annotations")
        check(found["status"] in allowed, f"{name}: status {found['status']}")


@case
def prestart(c):
    c.hook("prestart", f"[ ! -e {c.path('started')} ] && echo prestart > {log_of(c)}")
    c.sh("echo > /started")
    c.create()
    same(open(log_of(c)).read(), "prestart\n")


@case
def prestart_fail(c):
    c.hook("prestart", "exit 1")
    c.sh("echo > /started")
    c.write()
    c.must_fail("run", "-b", c.bundle, c.id)
    check(not os.path.exists(c.path("started")), "the program was run")
    c.must_fail("state", c.id)


@case
def poststart(c):
    c.hook("poststart", f"echo poststart > {log_of(c)}")
    c.process["args"] = ["sleep", "100"]
    c.create()
    check(not os.path.exists(log_of(c)), "poststart ran before start")
    c.must("start", c.id)
    same(open(log_of(c)).read(), "poststart\n")


@case
def poststart_fail(c):
    """Since specification 1.3 a failure ends the container; before, it was a warning."""
    c.hook("poststart", f"echo first > {log_of(c)}; exit 1")
    c.process["args"] = ["sleep", "100"]
    c.create()
    c.call("start", c.id)
    same(open(log_of(c)).read(), "first\n")


@case
def poststop(c):
    c.hook("poststop", f"echo poststop > {log_of(c)}")
    c.start_sleeper()
    c.must("kill", c.id, "KILL")
    c.wait_stopped()
    check(not os.path.exists(log_of(c)), "poststop ran before delete")
    c.must("delete", c.id)
    same(open(log_of(c)).read(), "poststop\n")


@case
def poststop_fail(c):
    c.hook("poststop", "exit 1")
    c.hook("poststop", f"echo second > {log_of(c)}")
    c.sh("exit 0")
    c.create()
    c.must("start", c.id)
    c.wait_stopped()
    c.must("delete", c.id)
    same(open(log_of(c)).read(), "second\n")
    c.must_fail("state", c.id)


def result(function, runtime, rootfs):
    """None when the case passes, else why not."""
    with tempfile.TemporaryDirectory(prefix="berth-validation-", dir="/tmp") as directory:
        container = Container(runtime, rootfs, directory)
        try:
            function(container)
            return None
        except (AssertionError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            return str(error)
        finally:
            container.clean()


def main():
    ours, theirs, rootfs, skips_file, *names = sys.argv[1:]
    with open(skips_file) as file:
        skips = dict(line.split(":", 1) for line in file if line.strip() and line[0] != "#")
    bad = [f"{f.__name__}: is skipped, but exists" for f in CASES if f.__name__ in skips]
    print(f"{'case':42} {os.path.basename(theirs):8} {os.path.basename(ours)}")
    for function in CASES:
        name = function.__name__
        if names and name not in names:
            continue
        why_theirs = result(function, theirs, rootfs)
        why_ours = result(function, ours, rootfs)
        words = ["passed" if why is None else "failed" for why in (why_theirs, why_ours)]
        print(f"{name:42} {words[0]:8} {words[1]}", flush=True)
        if why_ours is not None:
            bad.append(f"{name}: {why_ours}")
        elif why_theirs is not None:
            print(f"{'':42} {os.path.basename(theirs)}: {why_theirs[:200]}")
    for name, reason in skips.items():
        print(f"{name:42} not here:{reason.rstrip()}")
    print("\n".join(bad))
    return 1 if bad else 0


sys.exit(main())
