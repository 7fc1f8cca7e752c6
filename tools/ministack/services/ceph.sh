# SPDX-License-Identifier: Apache-2.0
# One monitor, one manager, one OSD on a sparse file, no authentication: the RBD back end of cinder (MINISTACK_CEPH=1)
pkgs_ceph() { echo ceph-mon ceph-mgr ceph-osd ceph-common python3-rbd python3-rados; }

up_ceph() {
  local c=$DIR/etc/ceph/ceph.conf d=$DIR/data/ceph
  conf_dir ceph; mkdir -p "$d"/{mon,mgr,osd,run}
  cat > "$c" <<INI
[global]
fsid = 6d696e69-7374-6163-6b00-636570680001
mon_initial_members = a
mon_host = [v2:$IP:${PORT[cephmon]}]
public_addr = $IP
cluster_addr = $IP
ms_bind_port_min = 26800
ms_bind_port_max = 26900
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_objectstore = bluestore
osd_memory_target = 939524096
# A busy machine may stand still for minutes: nobody ends the only OSD or takes it for dead because of that
osd_op_thread_timeout = 3600
osd_op_thread_suicide_timeout = 36000
osd_heartbeat_grace = 3600
osd_max_markdown_count = 1000000
mon_osd_report_timeout = 36000
mon_osd_adjust_heartbeat_grace = false
osd_max_object_name_len = 256
bluestore_block_size = 21474836480
bluestore_block_create = true
bluestore_fsck_on_mount = false
mon_data = $d/mon
mgr_data = $d/mgr
osd_data = $d/osd
run_dir = $d/run
admin_socket = $d/run/\$name.asok
log_file = $DIR/log/\$name.log
crash_dir = $d/crash
mgr_initial_modules =
mon_data_avail_warn = 1
mon_data_avail_crit = 1
INI
  step "ceph: monitor store" once ceph-mon ceph_mkmon "$c"
  start ceph ceph-mon ceph-mon -c "$c" -f -i a
  start ceph ceph-mgr ceph-mgr -c "$c" -f -i a
  step "ceph: monitor" retry 12 ceph_ -s
  step "ceph: OSD store" once ceph-osd ceph_mkosd "$c"
  start ceph ceph-osd ceph-osd -c "$c" -f -i 0
  step "ceph: OSD up" retry 30 ceph_osd_up
  step "ceph: pool volumes" once ceph-pool ceph_pool
  step "ceph: capacity known" retry 30 ceph_capacity
}
ceph_() { timeout 20 ceph -c "$DIR/etc/ceph/ceph.conf" --connect-timeout 5 "$@"; }
ceph_mkmon() {
  monmaptool --create --clobber --fsid 6d696e69-7374-6163-6b00-636570680001 --addv a "[v2:$IP:${PORT[cephmon]}]" "$DIR/data/ceph/monmap" &&
    ceph-mon -c "$1" --mkfs -i a --monmap "$DIR/data/ceph/monmap"
}
ceph_mkosd() { local id=6d696e69-7374-6163-6b00-636570680002; ceph_ osd new $id && ceph-osd -c "$1" -i 0 --mkfs --osd-uuid $id; }
ceph_osd_up() { ceph_ osd stat | grep -q '1 up'; }
ceph_pool() { ceph_ osd pool create volumes 8; ceph_ osd pool set volumes size 1 --yes-i-really-mean-it; rbd -c "$DIR/etc/ceph/ceph.conf" pool init volumes; }
ceph_capacity() { ceph_ df -f json | grep -Eq '"total_bytes":[1-9]'; }
