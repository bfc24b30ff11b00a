"""Starts a release build on SQLite, as footprint.sh asks, and prints the table."""

import os
import pathlib
import platform
import signal
import socket
import statistics
import subprocess
import sys
import time

RUNS = 11
TARGETS = {"start": 100.0, "memory": 30.0, "size": 25.0, "build": 480.0}
MIB = 1024 * 1024


def free_port():
    """A port that nothing listens on, below the range that client sockets are given."""
    for port in range(20_000, 32_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")


def answered(port):
    """Whether a request is answered now."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def resident(process):
    """Resident memory of a process in MiB."""
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


def processor(process):
    """Processor time a process has used, in milliseconds."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:13]) * 1000 / os.sysconf("SC_CLK_TCK")


def start(binary, home, port):
    """Starts the service; answers it, and milliseconds and processor time until its first answer."""
    environment = {
        "PATH": os.environ["PATH"],
        "PORTAL_BILLING__DATA_DIR": str(home),
        "PORTAL_BILLING__DATABASE__URL": f"sqlite://{home}/portal-billing.db",
        "PORTAL_BILLING__SERVER__LISTEN": f"127.0.0.1:{port}",
    }
    began = time.perf_counter()
    log = open(home / "log", "w")
    process = subprocess.Popen([binary, "serve"], env=environment, stderr=log, stdout=log)
    while not answered(port):
        if process.poll() is not None or time.perf_counter() - began > 30:
            sys.exit((home / "log").read_text())
        time.sleep(0.0005)
    return process, (time.perf_counter() - began) * 1000, processor(process)


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def main():
    binary, home = sys.argv[1], pathlib.Path(sys.argv[2])
    port = free_port()
    first, again = [], []
    memory, work = [], []
    for run in range(RUNS):
        data = home / f"data-{run}"
        data.mkdir()
        process, taken, used = start(binary, data, port)
        first.append(taken)
        work.append(used)
        stop(process)
        process, taken, _ = start(binary, data, port)
        again.append(taken)
        # Idle: started, one request answered, and the threads gone to sleep.
        time.sleep(0.3)
        memory.append(resident(process))
        stop(process)
    rows = [
        ("start to first answer, new database (ms)", "start", statistics.median(first), max(first)),
        ("  processor time of it (ms)", None, statistics.median(work), max(work)),
        ("start to first answer, existing (ms)", "start", statistics.median(again), max(again)),
        ("resident memory, idle (MiB)", "memory", statistics.median(memory), max(memory)),
    ]
    size = os.path.getsize(binary) / MIB
    rows.append(("size of the binary (MiB)", "size", size, size))
    if seconds := os.environ.get("BUILD_SECONDS"):
        wall, user, system = (float(part) for part in seconds.split())
        rows.append(("cold release build, wall (s)", "build", wall, wall))
        rows.append(("cold release build, processor (s)", None, user + system, user + system))
    cpus = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {cpus} processors, Linux {platform.release()}, load {load:.1f}")
    print(f"{'':44}{'median':>9}{'worst':>9}{'target':>9}")
    missed = False
    for name, target, median, worst in rows:
        limit = TARGETS.get(target)
        miss = limit is not None and median >= limit
        missed |= miss
        shown = "" if limit is None else f"< {limit:.0f}"
        print(f"{name:44}{median:9.1f}{worst:9.1f}{shown:>9}{'  missed' if miss else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
