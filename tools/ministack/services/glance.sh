# SPDX-License-Identifier: Apache-2.0
pkgs_glance() { echo glance-api; }

up_glance() {
  local c=$DIR/etc/glance/glance-api.conf
  conf_dir glance; mkdir -p "$DIR/data/glance/images"
  { cat <<INI
[DEFAULT]
bind_host = $IP
bind_port = ${PORT[glance]}
workers = 1
log_file = $DIR/log/glance-api.log
node_staging_uri = file://$DIR/data/glance/staging
transport_url = $RABBIT

[glance_store]
stores = file,http
default_store = file
filesystem_store_datadir = $DIR/data/glance/images

[paste_deploy]
flavor = keystone
config_file = /etc/glance/glance-api-paste.ini

[image_format]
disk_formats = ami,ari,aki,vhd,vhdx,vmdk,raw,qcow2,vdi,iso,ploop
INI
    common_ini glance; } > "$c"
  step "glance: schema" once glance-db glance_db "$c"
  step "glance: account and endpoint" once glance-account service_account glance image glance "http://$IP:${PORT[glance]}"
  start glance glance-api glance-api --config-file "$c"
  step "glance: API" healthy glance-api "http://$IP:${PORT[glance]}/healthcheck"
}
glance_db() { database glance; glance-manage --config-file "$1" db_sync; }
