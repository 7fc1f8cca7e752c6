# SPDX-License-Identifier: Apache-2.0
pkgs_placement() { echo placement-api; }

up_placement() {
  conf_dir placement
  { cat <<INI
[DEFAULT]
log_file = $DIR/log/placement.log

[api]
auth_strategy = keystone

[placement_database]
connection = $(db_url placement)
max_pool_size = 5
INI
    authtoken placement; } > "$DIR/etc/placement/placement.conf"
  step "placement: schema" once placement-db placement_db
  step "placement: account and endpoint" once placement-account service_account placement placement placement "http://$IP:${PORT[placement]}"
  uwsgi placement placement ${PORT[placement]} /usr/bin/placement-api OS_PLACEMENT_CONFIG_DIR="$DIR/etc/placement"
  step "placement: API" healthy placement "http://$IP:${PORT[placement]}/"
}
placement_db() { database placement; placement-manage --config-dir "$DIR/etc/placement" db sync; }
