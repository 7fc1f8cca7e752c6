# SPDX-License-Identifier: Apache-2.0
# API, scheduler, volume (NFS driver on a bind-mounted directory; RBD too with MINISTACK_CEPH=1), backup to swift
pkgs_cinder() { echo cinder-api cinder-scheduler cinder-volume cinder-backup python3-cinderclient; }

up_cinder() {
  local c=$DIR/etc/cinder/cinder.conf share=$DIR/data/nfs-share backends=nfs
  conf_dir cinder; mkdir -p "$share" "$DIR/data/cinder/"{mnt,coordination,conversion,backup-mnt}
  [ "$CEPH" = 1 ] && backends=nfs,rbd
  fake_mount_nfs
  echo "$IP:$share" > "$DIR/etc/cinder/shares"
  { cat <<INI
[DEFAULT]
my_ip = $IP
host = ministack
log_dir = $DIR/log
state_path = $DIR/data/cinder
image_conversion_dir = $DIR/data/cinder/conversion
transport_url = $RABBIT
auth_strategy = keystone
api_paste_config = /etc/cinder/api-paste.ini
rootwrap_config = /etc/cinder/rootwrap.conf
osapi_volume_listen = $IP
osapi_volume_listen_port = ${PORT[cinder]}
osapi_volume_workers = 1
glance_api_servers = http://$IP:${PORT[glance]}
enabled_backends = $backends
default_volume_type = ${backends##*,}
enable_force_upload = true
quota_volumes = 1000
quota_snapshots = 1000
quota_backups = 1000
quota_gigabytes = 10000
quota_backup_gigabytes = 10000
allow_inuse_volume_type_modification = false
scheduler_default_filters = CapacityFilter,CapabilitiesFilter
backup_driver = ${MINISTACK_BACKUP_DRIVER:-cinder.backup.drivers.swift.SwiftBackupDriver}
backup_posix_path = $DIR/data/cinder/backups
backup_swift_auth = per_user
backup_swift_object_size = 16777216
backup_swift_enable_progress_timer = false
backup_object_number_per_notification = 1000
backup_mount_point_base = $DIR/data/cinder/backup-mnt
periodic_interval = 20
report_interval = 5
service_down_time = 3600

[nfs]
volume_driver = cinder.volume.drivers.nfs.NfsDriver
volume_backend_name = nfs
nfs_shares_config = $DIR/etc/cinder/shares
nfs_mount_point_base = $DIR/data/cinder/mnt
nfs_snapshot_support = true
nas_secure_file_operations = false
nas_secure_file_permissions = false

[rbd]
volume_driver = cinder.volume.drivers.rbd.RBDDriver
volume_backend_name = rbd
rbd_pool = volumes
rbd_ceph_conf = $DIR/etc/ceph/ceph.conf

[coordination]
backend_url = file://$DIR/data/cinder/coordination
INI
    auth_section nova cinder; common_ini cinder; } > "$c"
  step "cinder: schema" once cinder-db cinder_db "$c"
  step "cinder: account and endpoint" once cinder-account service_account cinder \
    volumev3 cinderv3 "http://$IP:${PORT[cinder]}/v3/%(project_id)s" block-storage cinder "http://$IP:${PORT[cinder]}/v3/%(project_id)s"
  local d; for d in api scheduler volume backup; do start cinder cinder-$d cinder-$d --config-file "$c"; done
  step "cinder: API" healthy cinder-api "http://$IP:${PORT[cinder]}/healthcheck"
  step "cinder: volume types" once cinder-types-$backends seed types ${backends//,/ }
  step "cinder: services up" retry 60 cinder_up
}
cinder_db() { database cinder; cinder-manage --config-file "$1" db sync; }
cinder_up() { local up; up=$(sql "SELECT COUNT(*) FROM cinder.services WHERE deleted=0 AND updated_at > UTC_TIMESTAMP() - INTERVAL 20 SECOND
    AND \`binary\` IN ('cinder-scheduler','cinder-volume','cinder-backup')"); [ "$up" -ge 3 ]; }

# The kernel has no NFS client: a mount.nfs that binds the exported local directory instead
fake_mount_nfs() {
  [ -e /sbin/mount.nfs ] && return 0
  install -m 755 "$HERE/lib/mount.nfs" /sbin/mount.nfs
}
