# SPDX-License-Identifier: Apache-2.0
# API, scheduler, share: shares in a CephFS of the Ceph that cinder uses, reached by ceph-fuse (MINISTACK_MANILA=1)
pkgs_manila() { echo manila-api manila-scheduler manila-share ceph-mds ceph-fuse python3-manilaclient python3-cephfs; }

up_manila() {
  local c=$DIR/etc/manila/manila.conf ceph=$DIR/etc/ceph/ceph.conf
  conf_dir manila; mkdir -p "$DIR/data/ceph/mds" "$DIR/data/manila/coordination"
  { cat <<INI
[DEFAULT]
my_ip = $IP
host = ministack
log_dir = $DIR/log
state_path = $DIR/data/manila
transport_url = $RABBIT
auth_strategy = keystone
api_paste_config = /etc/manila/api-paste.ini
rootwrap_config = /etc/manila/rootwrap.conf
osapi_share_listen = $IP
osapi_share_listen_port = ${PORT[manila]}
osapi_share_workers = 1
enabled_share_backends = cephfs
enabled_share_protocols = CEPHFS
default_share_type = cephfs
report_interval = 5
periodic_interval = 5
service_down_time = 3600

[cephfs]
share_driver = manila.share.drivers.cephfs.driver.CephFSDriver
share_backend_name = cephfs
driver_handles_share_servers = false
cephfs_protocol_helper_type = CEPHFS
cephfs_filesystem_name = shares
cephfs_conf_path = $ceph
cephfs_cluster_name = ceph
cephfs_auth_id = manila

[coordination]
backend_url = file://$DIR/data/manila/coordination
INI
    common_ini manila; } > "$c"
  step "manila: file system" once manila-cephfs manila_cephfs
  start manila ceph-mds ceph-mds -c "$ceph" -f -i a
  step "manila: metadata server" retry 120 manila_mds_up
  step "manila: schema" once manila-db manila_db "$c"
  step "manila: account and endpoint" once manila-account service_account manila \
    sharev2 manilav2 "http://$IP:${PORT[manila]}/v2/%(project_id)s"
  local d; for d in api scheduler share; do start manila manila-$d manila-$d --config-file "$c"; done
  step "manila: API" healthy manila-api "http://$IP:${PORT[manila]}/"
  step "manila: share type" once manila-types seed sharetypes cephfs
  step "manila: services up" retry 240 manila_up
}
manila_db() { database manila; manila-manage --config-file "$1" db sync; }
manila_cephfs() {
  local p; for p in meta data; do ceph_ osd pool create shares.$p 8; ceph_ osd pool set shares.$p size 1 --yes-i-really-mean-it; done
  ceph_ fs new shares shares.meta shares.data &&
    ceph_ auth get-or-create client.manila mon 'allow *' mgr 'allow *' osd 'allow *' mds 'allow *'
}
manila_mds_up() { alive ceph-mds && ceph_ mds stat | grep -q up:active; }
manila_up() { [ "$(sql "SELECT COUNT(*) FROM manila.services WHERE updated_at > UTC_TIMESTAMP() - INTERVAL 60 SECOND
    AND \`binary\` IN ('manila-scheduler','manila-share')")" -ge 2 ]; }
