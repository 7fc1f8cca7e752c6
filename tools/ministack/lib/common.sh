# SPDX-License-Identifier: Apache-2.0
# Shared by the service files: settings, logging, daemons, packages, databases, catalogue.
DIR=${MINISTACK_DIR:-/var/lib/ministack}
IP=127.0.0.1
PASS=ministack                      # the one password of every account, database and queue
REGION=RegionOne
declare -A PORT=( [mysql]=23306 [rabbit]=25672 [rabbitdist]=25673 [epmd]=24369 [memcached]=21211
  [keystone]=25000 [glance]=29292 [cinder]=28776 [swift]=28080 [account]=26202 [container]=26201
  [object]=26200 [placement]=28778 [nova]=28774 [neutron]=29696 [heat]=28004 [heatcfn]=28000
  [cephmon]=26789 [manila]=28786 )
export LC_ALL=C.UTF-8 PYTHONWARNINGS=ignore DEBIAN_FRONTEND=noninteractive
export PATH=/usr/sbin:/usr/bin:/sbin:/bin   # Debian's python3, whatever else is installed
unset ${!OS_*} PYTHONPATH 2>/dev/null || true

say()  { printf '%s %s\n' "$(date +%T)" "$*" >&2; }
die()  { say "FAILED: $*"; exit 1; }
# step TEXT CMD...: run, print how long it took; the output goes to log/steps.log
step() {
  local text=$1 t0=$(date +%s%N); shift
  if ! "$@" >>"$DIR/log/steps.log" 2>&1; then
    grep -v -e _removeHandlerRef -e "in _acquireLock" "$DIR/log/steps.log" | tail -n 8 >&2; die "$text (see log/)"
  fi
  local ms=$(( ($(date +%s%N) - t0) / 1000000 ))
  [ $ms -lt 50 ] || say "$(printf '%-42s %3d.%ds' "$text" $((ms/1000)) $((ms%1000/100)))"
}
# once NAME CMD...: run only if it has never succeeded in this MINISTACK_DIR
once() { local stamp="$DIR/lock/done-$1"; [ -e "$stamp" ] || { "${@:2}" && touch "$stamp"; }; }
retry() { local n=$1 i; shift; for ((i = 0; i < n; i++)); do "$@" && return 0; sleep 0.5; done; return 1; }

install_packages() {
  local p missing=()
  for p in $1; do [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p"); done
  [ ${#missing[@]} -eq 0 ] && return 0
  [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d; chmod +x /usr/sbin/policy-rc.d; }
  echo 'man-db man-db/auto-update boolean false' | debconf-set-selections   # its trigger costs a minute
  apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=900 \
    -o Dpkg::Options::=--force-confold "${missing[@]}"
}

# --- daemons -----------------------------------------------------------------
alive() { local p; p=$(cat "$DIR/run/$1.pid" 2>/dev/null) && [ -n "$p" ] && kill -0 "$p" 2>/dev/null; }
# start GROUP NAME CMD...: a daemon of its own process group, log/NAME.log and run/NAME.pid
start() {
  local group=$1 name=$2; shift 2
  grep -qsx "$name" "$DIR/run/$group.group" || echo "$name" >> "$DIR/run/$group.group"
  alive "$name" && return 0
  setsid "$@" </dev/null >>"$DIR/log/$name.log" 2>&1 9>&- &
  echo $! > "$DIR/run/$name.pid"
}
stop() {
  local p; alive "$1" || { rm -f "$DIR/run/$1.pid"; return 0; }
  p=$(cat "$DIR/run/$1.pid"); kill -TERM "$p" 2>/dev/null || true
  retry 30 eval "! kill -0 $p 2>/dev/null" || true
  kill -KILL -- "-$p" 2>/dev/null || true; rm -f "$DIR/run/$1.pid"
  say "stopped $1"
}
stop_group() { local n; [ -e "$DIR/run/$1.group" ] || return 0; for n in $(<"$DIR/run/$1.group"); do stop "$n" & done; wait; }
port_open() { (exec 3<>"/dev/tcp/$IP/$1") 2>/dev/null; }
# answers URL: any HTTP answer below 500 counts
answers() { local c; c=$(curl -s -m 5 -o /dev/null -w '%{http_code}' "$1") || true; [ "$c" -ge 200 ] 2>/dev/null && [ "$c" -lt 500 ]; }
healthy() { # healthy NAME URL|PORT
  case $2 in http*) retry 180 up_or_dead "$1" answers "$2" ;; *) retry 180 up_or_dead "$1" port_open "$2" ;; esac && alive "$1"; }
up_or_dead() { alive "$1" || return 0; shift; "$@"; }
# uwsgi GROUP NAME PORT WSGI-FILE [OPTION...]: one process, four threads
uwsgi() {
  local group=$1 name=$2 port=$3 file=$4; shift 4
  start "$group" "$name" env "$@" uwsgi_python3 --http-socket "$IP:$port" --wsgi-file "$file" --master --processes 1 \
    --threads 4 --enable-threads --lazy-apps --die-on-term --need-app --buffer-size 65535 \
    --add-header 'Connection: close' --disable-logging
}

# --- database, queue, keystone shortcuts -----------------------------------------
sql() { mariadb -S "$DIR/run/mysql.sock" -u root -N -e "$*"; }
database() { local d; for d in "$@"; do sql "CREATE DATABASE IF NOT EXISTS $d CHARACTER SET utf8mb3;
  GRANT ALL ON $d.* TO '$d'@'localhost' IDENTIFIED BY '$PASS'; GRANT ALL ON $d.* TO '$d'@'127.0.0.1' IDENTIFIED BY '$PASS';"; done; }
db_url() { echo "mysql+pymysql://$1:$PASS@$IP:${PORT[mysql]}/$1"; }
RABBIT="rabbit://ministack:$PASS@$IP:${PORT[rabbit]}/"
AUTH_URL=http://$IP:${PORT[keystone]}/v3
# auth_section NAME USER: an ini section for keystoneauth
auth_section() { cat <<INI

[$1]
auth_type = password
auth_url = $AUTH_URL
username = $2
password = $PASS
project_name = service
user_domain_name = Default
project_domain_name = Default
region_name = $REGION
INI
}
authtoken() { auth_section keystone_authtoken "$1"; cat <<INI
www_authenticate_uri = $AUTH_URL
memcached_servers = $IP:${PORT[memcached]}
service_token_roles_required = true
service_token_roles = service
INI
}
# common_ini SERVICE: what every oslo service needs besides [DEFAULT]
common_ini() { authtoken "$1"; auth_section service_user "$1"; cat <<INI
send_service_user_token = true

[database]
connection = $(db_url "$1")
max_pool_size = 5

[oslo_concurrency]
lock_path = $DIR/lock/$1

[oslo_messaging_notifications]
driver = noop

[oslo_messaging_rabbit]
heartbeat_in_pthread = false
INI
}
conf_dir() { mkdir -p "$DIR/etc/$1" "$DIR/data/$1" "$DIR/lock/$1"; }
# osc: python-openstackclient, as admin
osc() { ( . "$DIR/openrc"; openstack "$@" ); }
# register MODE ...: see lib/register.py
register() { local mode=$1; shift; ( . "$DIR/openrc"; /usr/bin/python3 "$HERE/lib/register.py" "$mode" $PASS "$@" ); }
# seed WHAT ...: see lib/seed.py
seed() { ( . "$DIR/openrc"; /usr/bin/python3 "$HERE/lib/seed.py" "$@" ); }
# service_account USER [TYPE NAME URL]...
service_account() { register service $REGION "$@"; }

write_rc() {
  cat > "$DIR/openrc" <<RC
export OS_AUTH_TYPE=password
export OS_AUTH_URL=$AUTH_URL
export OS_USERNAME=\${MINISTACK_USER:-admin}
export OS_PASSWORD=$PASS
export OS_PROJECT_NAME=\${MINISTACK_PROJECT:-admin}
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_DOMAIN_NAME=Default
export OS_REGION_NAME=$REGION
export OS_IDENTITY_API_VERSION=3
export OS_VOLUME_API_VERSION=3
RC
  { echo "clouds:"; local u
    for u in admin demo other; do cat <<YAML
  ministack-$u:
    region_name: $REGION
    identity_api_version: 3
    volume_api_version: 3
    auth: {auth_url: "$AUTH_URL", username: $u, password: $PASS, project_name: $u,
           user_domain_name: Default, project_domain_name: Default}
YAML
    done; } > "$DIR/clouds.yaml"
}

tree_pids() { local p c; for p in "$@"; do echo "$p"; c=$(pgrep -P "$p" || true); [ -z "$c" ] || tree_pids $c; done; }
show_status() {
  local g n p k kb sum=0 bad=0
  printf '%-10s %-24s %8s %9s\n' service daemon pid 'RSS MiB'
  for g in $ALL; do
    [ -e "$DIR/run/$g.group" ] || continue
    while read -r n; do
      if alive "$n"; then
        p=$(cat "$DIR/run/$n.pid"); kb=0
        for k in $(tree_pids "$p"); do kb=$((kb + $(awk '/^Rss:/ {print $2}' "/proc/$k/smaps_rollup" 2>/dev/null || echo 0))); done
        sum=$((sum + kb)); printf '%-10s %-24s %8s %9s\n' "$g" "$n" "$p" $((kb / 1024))
      else bad=1; printf '%-10s %-24s %8s\n' "$g" "$n" down; fi
    done < "$DIR/run/$g.group"
  done
  echo "total $((sum / 1024)) MiB"; return $bad
}
wipe_mounts() { awk -v d="$DIR/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r | while read -r m; do umount -l "$m"; done; }
