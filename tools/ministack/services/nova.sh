# SPDX-License-Identifier: Apache-2.0
# API, conductor, scheduler, compute; its own libvirtd in a mount namespace, apart from any other on the machine
pkgs_nova() { echo nova-api nova-conductor nova-scheduler nova-compute nova-compute-kvm libvirt-daemon libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-block-extra genisoimage python3-libvirt python3-novaclient; }

LIBVIRT_URI="qemu+unix:///system?socket=$DIR/run/libvirt/libvirt-sock"

up_nova() {
  local c=$DIR/etc/nova/nova.conf virt=${MINISTACK_VIRT_TYPE:-qemu}   # nested KVM can be slower than emulation
  conf_dir nova; mkdir -p "$DIR/data/nova/"{instances,mnt}
  { cat <<INI
[DEFAULT]
my_ip = $IP
host = ministack
log_dir = $DIR/log
state_path = $DIR/data/nova
transport_url = $RABBIT
rootwrap_config = /etc/nova/rootwrap.conf
enabled_apis = osapi_compute
osapi_compute_listen = $IP
osapi_compute_listen_port = ${PORT[nova]}
osapi_compute_workers = 1
compute_driver = libvirt.LibvirtDriver
instances_path = $DIR/data/nova/instances
vif_plugging_timeout = 300
vif_plugging_is_fatal = true
report_interval = 5
service_down_time = 3600
shutdown_timeout = 5
sync_power_state_interval = 30
reserved_host_memory_mb = 512
cpu_allocation_ratio = 16.0
ram_allocation_ratio = 2.0

[api]
auth_strategy = keystone

[wsgi]
api_paste_config = /etc/nova/api-paste.ini

[api_database]
connection = mysql+pymysql://nova_api:$PASS@$IP:${PORT[mysql]}/nova_api
max_pool_size = 5

[quota]
instances = 100
cores = 100

[conductor]
workers = 1

[scheduler]
workers = 1
discover_hosts_in_cells_interval = 30

[glance]
api_servers = http://$IP:${PORT[glance]}

[cinder]
os_region_name = $REGION

[vnc]
enabled = false

[libvirt]
virt_type = $virt
cpu_mode = none
connection_uri = $LIBVIRT_URI
images_type = qcow2
nfs_mount_point_base = $DIR/data/nova/mnt
inject_partition = -2

[workarounds]
enable_qemu_monitor_announce_self = false
INI
    auth_section placement nova; auth_section neutron nova; auth_section cinder nova; common_ini nova
  } | merge_ini > "$c"
  step "nova: schema and cells" once nova-db nova_db "$c"
  step "nova: account and endpoint" once nova-account service_account nova compute nova "http://$IP:${PORT[nova]}/v2.1"
  start nova nova-api nova-api --config-file "$c"
  local d; for d in conductor scheduler; do start nova nova-$d nova-$d --config-file "$c"; done
  start_libvirt
  step "nova: libvirtd" retry 60 virsh_ok
  step "nova: API" healthy nova-api "http://$IP:${PORT[nova]}/"
  start nova nova-compute nsenter --mount="/proc/$(cat "$DIR/run/libvirtd.pid")/ns/mnt" nova-compute --config-file "$c"
  step "nova: compute reports" retry 240 compute_up
  step "nova: compute host mapped" once nova-host nova-manage --config-file "$c" cell_v2 discover_hosts
  step "nova: flavors" once nova-flavors seed flavors
}
# merge_ini: join the sections that occur twice
merge_ini() { /usr/bin/python3 -c '
import re, sys
out = {}
for line in sys.stdin:
    if line.startswith("["): name = line; out.setdefault(name, [])
    elif line.strip(): out[name].append(line)
for name, lines in out.items(): print(name + "".join(lines))'; }
nova_db() {
  local m="nova-manage --config-file $1"
  database nova nova_api nova_cell0
  sql "GRANT ALL ON nova_cell0.* TO 'nova'@'localhost'; GRANT ALL ON nova_cell0.* TO 'nova'@'127.0.0.1'"
  $m api_db sync
  $m cell_v2 map_cell0 --database_connection "mysql+pymysql://nova:$PASS@$IP:${PORT[mysql]}/nova_cell0"
  $m cell_v2 list_cells | grep -q cell1 || $m cell_v2 create_cell --name cell1
  $m db sync
}
compute_up() { alive nova-compute && [ "$(sql "SELECT COUNT(*) FROM nova.services WHERE \`binary\`='nova-compute' AND deleted=0
    AND updated_at > UTC_TIMESTAMP() - INTERVAL 20 SECOND")" -ge 1 ] && [ "$(sql "SELECT COUNT(*) FROM nova.compute_nodes WHERE deleted=0")" -ge 1 ]; }

# libvirtd keeps its state at fixed paths: give it private ones, bound over them in a mount namespace of its own
start_libvirt() {
  local d=$DIR/data/libvirt e=$DIR/etc/libvirt
  mkdir -p "$d"/{lib,cache,log} "$DIR/run/libvirt" "$e"
  [ -e "$e/qemu.conf" ] || { cp -a /etc/libvirt/. "$e/"; rm -rf "$e"/qemu/networks "$e"/qemu/*.xml; }
  cat > "$e/qemu.conf" <<INI
security_driver = "none"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
INI
  cat > "$e/libvirtd.conf" <<INI
auth_unix_rw = "none"
auth_unix_ro = "none"
log_outputs = "2:stderr"
log_filters = "3:object 3:event 3:util 3:rpc 3:qemu"
INI
  alive libvirtd || stop nova-compute     # it has to share the namespace
  start nova libvirtd unshare --mount --propagation private /bin/sh -c 'mkdir -p /run/libvirt &&
    mount --bind "$0/run/libvirt" /run/libvirt && mount --bind "$0/etc/libvirt" /etc/libvirt &&
    for d in lib cache log; do mount --bind "$0/data/libvirt/$d" /var/$d/libvirt; done &&
    exec libvirtd --pid-file "$0/run/libvirt/libvirtd.pid"' "$DIR"
}
virsh_() { virsh -q -c "$LIBVIRT_URI" "$@"; }
virsh_ok() { virsh_ version; }
down_nova() { local n; for n in $(virsh_ list --name 2>/dev/null); do virsh_ destroy "$n" >/dev/null || true; done; }
