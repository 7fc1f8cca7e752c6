# SPDX-License-Identifier: Apache-2.0
# MariaDB, RabbitMQ, memcached: private instances on private ports
pkgs_infra() { echo mariadb-server rabbitmq-server memcached python3-openstackclient python3-pymysql uwsgi-plugin-python3 curl sudo; }

up_infra() {
  local d=$DIR/data/mysql r=$DIR/data/rabbitmq
  [ -d "$d/mysql" ] || step "mariadb: data directory" mariadb-install-db --no-defaults --user=root --datadir="$d" \
    --auth-root-authentication-method=socket --skip-test-db
  start infra mariadb mariadbd --no-defaults --user=root --datadir="$d" --bind-address=$IP --port=${PORT[mysql]} \
    --socket="$DIR/run/mysql.sock" --pid-file="$DIR/run/mysqld.pid" --skip-log-bin --max-connections=500 \
    --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --innodb-buffer-pool-size=128M --performance-schema=OFF
  mkdir -p "$r"; cat > "$DIR/etc/rabbitmq.conf" <<INI
listeners.tcp.1 = $IP:${PORT[rabbit]}
default_user = ministack
default_pass = $PASS
vm_memory_high_watermark.relative = 0.2
disk_free_limit.absolute = 200MB
INI
  : > "$DIR/etc/rabbitmq.plugins"
  start infra epmd /usr/bin/epmd -address $IP -port ${PORT[epmd]}
  step "epmd: port" healthy epmd ${PORT[epmd]}
  start infra rabbitmq env HOME="$r" RABBITMQ_NODENAME=ministack@localhost ERL_EPMD_PORT=${PORT[epmd]} \
    ERL_EPMD_ADDRESS=$IP RABBITMQ_DIST_PORT=${PORT[rabbitdist]} RABBITMQ_MNESIA_BASE="$r" RABBITMQ_LOG_BASE="$DIR/log" \
    RABBITMQ_CONFIG_FILE="$DIR/etc/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$DIR/etc/rabbitmq.plugins" \
    RABBITMQ_PID_FILE="$r/pid" RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_CONF_ENV_FILE=/dev/null /usr/lib/rabbitmq/bin/rabbitmq-server
  start infra memcached memcached -u root -l $IP -p ${PORT[memcached]} -m 64
  step "mariadb: port" healthy mariadb ${PORT[mysql]}
  step "memcached: port" healthy memcached ${PORT[memcached]}
  step "rabbitmq: port" healthy rabbitmq ${PORT[rabbit]}
}
