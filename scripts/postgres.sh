# shellcheck shell=bash
# Sourced by test.sh: a throw-away PostgreSQL cluster on loopback.

# Where initdb and pg_ctl are; newest version first.
postgres_binaries() {
  local candidate
  for candidate in \
    "$(command -v "${PG_CONFIG:-pg_config}" > /dev/null && "${PG_CONFIG:-pg_config}" --bindir)" \
    "$(dirname "$(command -v pg_ctl || echo /nonexistent)")" \
    $(printf '%s\n' /usr/lib/postgresql/*/bin /usr/pgsql-*/bin | sort -rV); do
    if [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  return 1
}

# PostgreSQL refuses to run as root.
as_postgres() {
  if [ "$(id -u)" -ne 0 ]; then
    "$@"
    return
  fi
  local user=nobody
  id postgres > /dev/null 2>&1 && user=postgres
  (cd / && runuser -u "$user" -- "$@")
}

# A port below the range that client sockets are given.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { echo "$port"; return; }
  done
  return 1
}

# start_postgres: sets PORTAL_BILLING_TEST_POSTGRES_URL, unless the caller has named a cluster. Nothing in
# it outlives the run, so that nothing has to reach the disk, unless `durable` is set.
start_postgres() {
  if [ -n "${PORTAL_BILLING_TEST_POSTGRES_URL:-}" ]; then
    say "Using the PostgreSQL cluster that PORTAL_BILLING_TEST_POSTGRES_URL names."
    return
  fi
  local port
  if ! postgres_bin="$(postgres_binaries)"; then
    install "PostgreSQL's server" postgresql || return 1
    postgres_bin="$(postgres_binaries)" || { say "PostgreSQL's server programs are not where they usually are; name pg_config in PG_CONFIG."; return 1; }
  fi
  postgres_home="$(mktemp -d "${TMPDIR:-/tmp}/portal-billing-postgres.XXXXXX")" || return 1
  if [ "$(id -u)" -eq 0 ]; then
    chown "$(as_postgres id -u)" "$postgres_home" || return 1
  fi
  if ! as_postgres "$postgres_bin/initdb" --pgdata "$postgres_home/data" --username postgres --auth trust \
    --encoding UTF8 --locale C --no-sync > "$postgres_home/initdb.log" 2>&1; then
    cat "$postgres_home/initdb.log" >&2
    return 1
  fi
  port="$(free_port)" || return 1
  local careless="-c fsync=off -c synchronous_commit=off -c full_page_writes=off"
  [ -z "${durable:-}" ] || careless=""
  if ! as_postgres "$postgres_bin/pg_ctl" --pgdata "$postgres_home/data" --log "$postgres_home/log" --wait --silent \
    --options "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$postgres_home \
      -c max_connections=300 $careless" start; then
    cat "$postgres_home/log" >&2
    return 1
  fi
  export PORTAL_BILLING_TEST_POSTGRES_URL="postgres://postgres@127.0.0.1:$port/postgres"
}

stop_postgres() {
  [ -n "${postgres_home:-}" ] || return 0
  as_postgres "$postgres_bin/pg_ctl" --pgdata "$postgres_home/data" --mode immediate --wait --silent stop > /dev/null 2>&1
  rm -rf "$postgres_home"
  postgres_home=""
}
