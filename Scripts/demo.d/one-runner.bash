# Sourced by Scripts/demo: everything on one runner, with the embedded registry.

export ISTBPF_INSTALLATION=istbpf-demo
installations+=(istbpf-demo)
say "starting istbpfd"
start "$bin/istbpfd" --log-level warning
await istbpfd istbpf status

say "declaring deployment shop with app and db, and deployment other with thief"
istbpf deploy --deployment shop --service app --service "db:$port"
istbpf deploy --deployment other --service thief

say "running PostgreSQL as shop/db on port $port, as user postgres"
make_database
start become_database istbpf-demo
app() { istbpf run --deployment shop --service app "$@"; }
query="psql --tuples-only --no-align 'host='\$WARP_IST_db' port=$port user=postgres'"
await PostgreSQL app -- sh -c "$query -c 'select 1'"

say "two instances of app query it through host=\$WARP_IST_db"
app -- sh -c "$query -c 'create table visit (who inet)'" >/dev/null
for _ in 1 2; do
  expect "app inserts its own address, as db sees it" '^198\.18\.1\.' \
    app -- sh -c "$query -c 'insert into visit values (inet_client_addr()) returning host(who)'"
done
expect "and both rows are there" '^2$' app -- sh -c "$query -c 'select count(distinct who) from visit'"
expect "db.warp is a name for it too" 'accepting connections' \
  app -- "$postgres_bin/pg_isready" --host db.warp --port "$port"

db_address=$(istbpf env shop/app --env-file | sed -n 's/^WARP_IST_db=//p')
db_instance=$(istbpf ps --json | python3 -c '
import json, sys
print(next(i["address"] for i in json.load(sys.stdin) if i["service"] == "db"))')
db_pid=$(istbpf ps --json | python3 -c '
import json, sys
print(next(i["pids"][0] for i in json.load(sys.stdin) if i["service"] == "db"))')

say "deployment other cannot connect to $db_address or $db_instance, port $port"
for address in "$db_address" "$db_instance"; do
  expect "other/thief connects to $address" '^EHOSTUNREACH$' \
    istbpf run --deployment other --service thief -- python3 -c "$connect" "$address" "$port"
done

say "the host cannot, not even through another interface of db's container, with a route to it"
links+=(istbpf-demo)
ip link add name istbpf-demo type veth peer name eth0 netns "/proc/$db_pid/ns/net"
ip address add 203.0.113.1/24 dev istbpf-demo
ip link set istbpf-demo up
nsenter --net="/proc/$db_pid/ns/net" ip address add 203.0.113.2/24 dev eth0
nsenter --net="/proc/$db_pid/ns/net" ip link set eth0 up
ip route add 198.18.2.0/24 via 203.0.113.2
for address in 203.0.113.2 "$db_address" "$db_instance"; do
  # Linux 6.1 answers with an RST what later ones drop; either way nobody is there.
  expect "the host connects to $address" '^(timed out|ECONNREFUSED)$' python3 -c "$connect" "$address" "$port"
done

say "and nothing gets out"
expect "app connects to the host, 203.0.113.1" '^EPERM$' app -- python3 -c "$connect" 203.0.113.1 80
expect "app sends UDP to db" '^EPERM$' app -- python3 -c '
import errno, os, socket
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", (os.environ["WARP_IST_db"], 53))
    print("sent")
except OSError as error:
    print(errno.errorcode[error.errno])'
expect "app asks for a raw socket" '^EPERM$' app -- python3 -c '
import errno, socket
try:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    print("made")
except OSError as error:
    print(errno.errorcode[error.errno])'

say "what the kernel holds (istbpf inspect)"
istbpf inspect
say "and that it is in effect (istbpf status)"
istbpf status
