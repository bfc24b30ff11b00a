"""What the benches share: the databases, full of subscriptions, the servers on them, and what these use
of the processor."""

import contextlib
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests"))
from servers import call, process  # noqa: E402

SECRET = "whsec_bench_0123456789abcdefghij"
TICK = os.sysconf("SC_CLK_TCK")
# The ceiling: what the database takes when each row is committed on its own.
ROW = "INSERT INTO bench_rows (id, event, received_at) VALUES (:id, 'customer.subscription.updated', 1);\n"
PGBENCH_SECONDS = 10


def processor(pids):
    """Processor time that these processes have used, in seconds; of ended children, too."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / TICK


def family(parent):
    """A process and its children."""
    pids = [parent]
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                pids.append(int(stat.parent.name))
    return pids


def peak(pid):
    """The most memory a process has had so far, in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def rows(count, account):
    """Statements that make this many active subscriptions, each of a customer of its own; `{series}` is
    the engine's series of numbers `n`."""
    at = int(time.time() * 1000)
    link = f"'{account}', {{false}}"
    return [
        "INSERT INTO customers (id, portal_id, external_id, name, email, tax_ids, metadata, stripe_account,"
        " stripe_livemode, stripe_id, stripe_at, version, created_at, updated_at)"
        f" SELECT 'org_' || n, 'bench', 'ext-' || n, 'Bench', 'b@bench.example', '[]', '{{{{}}}}', {link},"
        f" 'cus_bench_' || n, 1, 1, {at}, {at} FROM {{series}}",
        "INSERT INTO subscriptions (id, portal_id, customer_id, product_id, plan_id, plan_revision,"
        " application, status, paid, quantity, dunning, metadata, stripe_account, stripe_livemode, stripe_id,"
        " stripe_item, stripe_at, version, created_at, updated_at)"
        f" SELECT 'subn_' || n, 'bench', 'org_' || n, 'weather', 'gold', 1, '', 'active', {{true}}, 1, '-',"
        f" '{{{{}}}}', {link}, 'sub_bench_' || n, 'si_1', 1, 1, {at}, {at} FROM {{series}}",
        "INSERT INTO stripe_objects (account_id, livemode, stripe_id, portal_id, kind, local_id, created_at)"
        f" SELECT {link}, 'sub_bench_' || n, 'bench', 'subscription', 'subn_' || n, {at} FROM {{series}}",
        "INSERT INTO stripe_objects (account_id, livemode, stripe_id, portal_id, kind, local_id, created_at)"
        f" SELECT {link}, 'cus_bench_' || n, 'bench', 'customer', 'org_' || n, {at} FROM {{series}}",
    ]


class Postgres:
    """One database of the cluster."""

    name = "PostgreSQL"

    def __init__(self, options, label="bench"):
        self.label = label
        self.bin = pathlib.Path(options.postgres_binaries)
        self.postmaster = options.postmaster
        server, _, _ = options.postgres.rpartition("/")
        self.psql(options.postgres, f"CREATE DATABASE {label}")
        self.url = f"{server}/{label}"

    def psql(self, url, sql):
        subprocess.run([self.bin / "psql", "-q", "-v", "ON_ERROR_STOP=1", url, "-c", sql], check=True)

    def fill(self, count, account):
        for statement in rows(count, account):
            series = f"generate_series(0, {count - 1}) AS n"
            self.psql(self.url, statement.format(series=series, true="TRUE", false="FALSE"))
        self.psql(self.url, "VACUUM ANALYZE")

    def processor(self):
        return processor(family(self.postmaster))

    def selecting(self, home, connections, count):
        """The same of selecting one subscription by its id."""
        script = home / "select.sql"
        script.write_text(f"\\set r random(0, {count - 1})\nSELECT * FROM subscriptions WHERE id = 'subn_' || :r;\n")
        return self.pgbench(script, connections)

    def ceiling(self, home, connections):
        """Rows a second, and processor time of the database per row in microseconds."""
        self.psql(self.url, "CREATE TABLE bench_rows (id TEXT PRIMARY KEY, event TEXT, received_at BIGINT)")
        script = home / "row.sql"
        script.write_text("\\set r random(1, 1000000000000)\n" + ROW.replace(":id", "'evt_' || :r || '_' || :client_id"))
        return self.pgbench(script, connections)

    def pgbench(self, script, connections):
        before = self.processor()
        command = [
            self.bin / "pgbench", "-n", "-f", script, "-c", str(connections), "-j", "2", "-M", "prepared",
            "-T", str(PGBENCH_SECONDS), self.url,
        ]
        out = subprocess.check_output(command, text=True, stderr=subprocess.DEVNULL)
        tps = float(re.search(r"tps = ([\d.]+)", out).group(1))
        done = int(re.search(r"actually processed: (\d+)", out).group(1))
        return tps, (self.processor() - before) / done * 1e6


class Lite:
    """SQLite: its processor time is the service's."""

    name = "SQLite"

    def __init__(self, options, label="bench"):
        self.label = label
        self.file = options.home / f"{label}.db"
        self.url = f"sqlite://{self.file}"

    def fill(self, count, account):
        with contextlib.closing(sqlite3.connect(self.file, timeout=30)) as connection, connection:
            for statement in rows(count, account):
                series = (
                    "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s"
                    f" WHERE n < {count - 1}) SELECT n FROM s)"
                )
                connection.execute(statement.format(series=series, true="1", false="0"))

    def processor(self):
        return 0.0


TEMPLATE = {
    "id": "@EVENT@", "object": "event", "api_version": "2026-09-30.endive", "created": "@CREATED@",
    "type": "customer.subscription.updated", "livemode": False, "pending_webhooks": 1,
    "request": {"id": None, "idempotency_key": None},
    "data": {"object": None, "previous_attributes": {"status": "active"}},
}


def template(stripe):
    """An event as Stripe sends it, about a subscription as the simulator renders it, in places."""

    def post(path, *pairs):
        command = ["curl", "-sf", f"http://{stripe}{path}", "-u", "sk_test_simulator:"]
        for pair in pairs:
            command += ["-d", pair]
        return json.loads(subprocess.check_output(command))

    customer = post("/v1/customers", "name=Bench")["id"]
    method = post("/v1/payment_methods/pm_card_visa/attach", f"customer={customer}")["id"]
    product = post("/v1/products", "name=Weather")["id"]
    price = post("/v1/prices", "currency=usd", "unit_amount=1500", f"product={product}", "recurring[interval]=month")["id"]
    subscription = post(
        "/v1/subscriptions", f"customer={customer}", f"items[0][price]={price}", f"default_payment_method={method}"
    )
    subscription |= {"id": "@SUBSCRIPTION@", "customer": "@CUSTOMER@", "status": "@STATUS@"}
    subscription["default_payment_method"] = None
    event = TEMPLATE | {"data": TEMPLATE["data"] | {"object": subscription}}
    # Stripe sends JSON with line breaks.
    return json.dumps(event, indent=2).replace('"@CREATED@"', "@CREATED@")


def drive(options, address, hook, file, **more):
    arguments = {
        "address": address,
        "hook": hook,
        "secret": SECRET,
        "template": file,
        "connections": options.connections,
    }
    command = [str(options.binaries / "ingest")]
    for name, value in (arguments | more).items():
        command += [f"--{name}", str(value)]
    return json.loads(subprocess.check_output(command, text=True))


class Service:
    """The service on a database, with a portal `bench` whose Stripe is the simulator, and the driver."""

    def __init__(self, options, database, home, pid, address, stripe, token):
        self.options, self.database, self.home = options, database, home
        self.pid, self.address, self.stripe, self.token = pid, address, stripe, token
        self.base = f"http://{address}"
        module = "/v1/portals/bench/modules/stripe"
        self.call("PUT", "/v1/portals/bench", {"title": "Bench"})
        self.call("PUT", module, {"enabled": True})
        keys = {"secret_key": "sk_test_simulator", "publishable_key": "pk_test_simulator", "webhook_secret": SECRET}
        self.call("PUT", f"{module}/credentials", keys)
        endpoint = self.call("POST", f"{module}/webhook-endpoint")
        self.account = endpoint["stripe"]["account"]
        self.hook = endpoint["url"].rpartition("/")[2]
        self.template = home / "event.json"
        self.template.write_text(template(stripe))

    def call(self, method, path, body=None, more=None):
        return call(self.base, self.token, method, path, body, more)

    def publish(self, name, plan):
        """A product with one plan."""
        product = {"title": "Bench", "version": "1.0.0", "state": "published", "plans": [plan]}
        self.call("PUT", f"/v1/portals/bench/products/{name}", product)

    def timed(self, **more):
        """What the driver says of some requests, and the processor time that one has cost."""
        before = processor([self.pid]), self.database.processor()
        result = drive(self.options, self.address, self.hook, self.template, token=self.token, **more)
        # How fast something is refused is nothing that anybody wants to know.
        if result["failed"]:
            raise SystemExit(f"{more}: {result['failed']} of {result['requests']} requests failed")
        after = processor([self.pid]), self.database.processor()
        for name, a, b in zip(("service_us", "database_us"), before, after):
            result[name] = (b - a) / result["requests"] * 1e6
        return result

    def asked_of_stripe(self):
        """Requests that the simulator was sent, by their paths."""
        return call(f"http://{self.stripe}", "", "GET", "/_simulator/requests")["counts"]


@contextlib.contextmanager
def serving(options, database, latency_ms=0):
    """A [`Service`], whose Stripe holds each answer back for so long."""
    home = options.home / f"{database.name}-{database.label}"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PORTAL_BILLING")}
    program = str(options.binaries / "portal-billing")
    environment = kept | {
        "PORTAL_BILLING__DATA_DIR": str(home / "data"),
        "PORTAL_BILLING__DATABASE__URL": database.url,
        "PORTAL_BILLING__SERVER__LISTEN": "127.0.0.1:0",
    }
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((home / "simulator.log").open("w"))
        command = [str(options.binaries / "stripe-simulator"), "--listen", "127.0.0.1:0"]
        command += ["--upstream-latency-ms", str(latency_ms)] if latency_ms else []
        stripe = stack.enter_context(process(command, kept, "stdout", log))
        environment["PORTAL_BILLING__STRIPE__BASE_URL"] = f"http://{stripe}"
        log = stack.enter_context((home / "service.log").open("w"))
        address = stack.enter_context(process([program, "serve"], environment, "stderr", log))
        pid = [
            int(path.parent.name)
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
            if path.read_bytes().startswith(program.encode() + b"\0serve")
        ][-1]
        command = [program, "token", "--portal", "*", "--scope", "all", "--lifetime", "12h"]
        token = subprocess.check_output(command, env=environment, text=True).strip()
        yield Service(options, database, home, pid, address, stripe, token)


def options_of(parser):
    """The options that every bench has, with those of its own."""
    parser.add_argument("--binaries", type=pathlib.Path, required=True)
    parser.add_argument("--home", type=pathlib.Path, required=True)
    parser.add_argument("--postgres", required=True)
    parser.add_argument("--postgres-binaries", required=True)
    parser.add_argument("--postmaster", type=int, required=True)
    return parser.parse_args()
