# Sourced by Scripts/demo: app on one runner and db on another. Each runner is a network namespace of
# this machine with a daemon of its own; a veth joins them, and etcd is their registry.

runner() { # runner N COMMAND...: the command in the runner's namespace
  local namespace=demo-runner$1
  shift
  exec nsenter --net="/run/netns/$namespace" "$@"
}
on() { # on N istbpf's ARGUMENTS...: asks the runner's daemon
  local installation=istbpf-demo$1
  shift
  istbpf "$1" --installation "$installation" "${@:2}"
}

say "making two runners, 10.77.0.1 and 10.77.0.2, joined by a veth"
for n in 1 2; do
  namespaces+=("demo-runner$n")
  installations+=("istbpf-demo$n")
  ip netns add "demo-runner$n"
  ip -n "demo-runner$n" link set lo up
done
ip link add wire netns demo-runner1 type veth peer name wire netns demo-runner2
for n in 1 2; do
  ip -n "demo-runner$n" address add "10.77.0.$n/24" dev wire
  ip -n "demo-runner$n" link set wire up
done

say "starting etcd, and making a certificate for each runner"
start runner 1 etcd --data-dir "$scratch/etcd" --log-level error \
  --listen-client-urls http://10.77.0.1:2379 --advertise-client-urls http://10.77.0.1:2379 \
  --listen-peer-urls http://127.0.0.1:2380 2>"$scratch/etcd.log"
istbpf ca init --cluster demo --directory "$scratch/ca"
for n in 1 2; do
  istbpf ca issue "runner$n" --directory "$scratch/ca" --out "$scratch" >/dev/null
  cat >"$scratch/runner$n.json" <<JSON
{
  "cluster": "demo",
  "etcd": {
    "endpoints": ["http://10.77.0.1:2379"],
    "leaseSeconds": $((slowness > 1 ? 30 : 10)), "callTimeoutSeconds": $((slowness > 1 ? 20 : 3))
  },
  "tunnel": {
    "address": "10.77.0.$n:7443",
    "certificate": "$scratch/runner$n.crt", "key": "$scratch/runner$n.key",
    "authorities": "$scratch/ca.crt", "denied": "$scratch/ca/denied"
  }
}
JSON
done
await etcd nsenter --net=/run/netns/demo-runner1 \
  etcdctl --endpoints http://10.77.0.1:2379 endpoint health

say "capturing everything on the wire, and starting a daemon on each runner"
start runner 1 tcpdump -i wire -s 0 -U -w "$scratch/wire.pcap" 2>"$scratch/tcpdump.log"
start_daemon() {
  start runner "$1" "$bin/istbpfd" --installation "istbpf-demo$1" --runner-name "runner$1" \
    --config "$scratch/runner$1.json" --log-level error
  daemons[$1]=$!
  await "the daemon of runner $1" on "$1" status
}
declare -A daemons
for n in 1 2; do start_daemon "$n"; done

say "declaring deployment shop on runner 1; PostgreSQL as shop/db runs on runner 2"
on 1 deploy --deployment shop --service app --service "db:$port"
make_database
await "shop on runner 2" on 2 env shop/db
start become_database istbpf-demo2
app() { on 1 run --deployment shop --service app "$@"; }
await PostgreSQL app -- sh -c "$postgres_bin/pg_isready --host \$WARP_IST_db --port $port"

say "app on runner 1 queries it through host=\$WARP_IST_db"
secret=known-row-$RANDOM$RANDOM
query="psql --tuples-only --no-align 'host='\$WARP_IST_db' port=$port user=postgres'"
expect "app asks as whom db sees it: its own address" '^198\.18\.1\.' \
  app -- sh -c "$query -c 'select host(inet_client_addr())'"
expect "app writes a row that will be looked for on the wire" "^$secret$" \
  app -- sh -c "$query -c \"create table note as select '$secret' as text\" -c 'table note'"
expect "pgbench, 4 clients, 5 s" 'number of failed transactions: 0 ' \
  app -- sh -c "pgbench='$postgres_bin/pgbench -h '\$WARP_IST_db' -p $port -U postgres postgres'
    \$pgbench -i -q 2>&1 && \$pgbench -c 4 -T 5 2>&1"
expect "a port of db on which nobody listens is refused" '^ECONNREFUSED$' \
  app -- sh -c "python3 -c '$connect' \$WARP_IST_db 9"

say "who encrypts"
encryption() { on 1 status | grep '^cluster'; }
expect "as runner 1 says" 'encrypted by (the kernel|istbpf-relay)' encryption
if [[ $(encryption) == *"by the kernel"* ]]; then
  for session in TlsCurrTxSw TlsCurrRxSw; do
    expect "as the kernel counts there ($session)" '^[1-9][0-9]*$' \
      runner 1 awk -v name="$session" '$1 == name {print $2}' /proc/net/tls_stat
  done
  expect "records that it could not decrypt (TlsDecryptError)" '^0$' \
    runner 1 awk '$1 == "TlsDecryptError" {print $2}' /proc/net/tls_stat
fi

say "killing runner 2's istbpfd, and bringing it back"
kill -KILL "${daemons[2]}"
start_daemon 2
await "runner 2" app -- sh -c "$query -c 'select 1'"
expect "with it, the row is there" "^$secret$" app -- sh -c "$query -c 'table note'"

say "killing runner 2's istbpf-relay, which is started again"
kill -KILL "$(on 2 status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["relay"]["pid"])')"
expect "a connection that begins meanwhile finds the row" "^$secret$" app -- sh -c "$query -c 'table note'"

say "what crossed the wire"
sleep 1
packets=$(tcpdump -r "$scratch/wire.pcap" 'tcp port 7443' 2>/dev/null | wc -l)
expect "packets of tunnels that were captured" '^[1-9][0-9]{2,}$' echo "$packets"
expect "captured bytes that hold the row" '^0$' \
  sh -c "grep -c '$secret' '$scratch/wire.pcap' || true"
expect "captured bytes that hold PostgreSQL's own words" '^0$' \
  sh -c "grep -cE 'pgbench_|server_version|client_encoding' '$scratch/wire.pcap' || true"
expect "packets between the runners that are neither tunnel nor etcd" '^0$' \
  sh -c "tcpdump -r '$scratch/wire.pcap' 'ip and not tcp port 7443 and not tcp port 2379' 2>/dev/null | wc -l"
