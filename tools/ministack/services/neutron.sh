# SPDX-License-Identifier: Apache-2.0
# Server (ML2, linuxbridge) and the linuxbridge L2 part. Networks are local to this machine; no DHCP, no routing.
pkgs_neutron() { echo neutron-server neutron-linuxbridge-agent iproute2 ebtables bridge-utils; }

up_neutron() {
  local c=$DIR/etc/neutron/neutron.conf
  conf_dir neutron
  { cat <<INI
[DEFAULT]
host = ministack
bind_host = $IP
bind_port = ${PORT[neutron]}
log_dir = $DIR/log
state_path = $DIR/data/neutron
transport_url = $RABBIT
auth_strategy = keystone
api_paste_config = /etc/neutron/api-paste.ini
core_plugin = ml2
service_plugins = router
api_workers = 0
rpc_workers = 1
rpc_state_report_workers = 0
agent_down_time = 3600
notify_nova_on_port_status_changes = true
notify_nova_on_port_data_changes = true
send_events_interval = 1
global_physnet_mtu = 1500

[experimental]
linuxbridge = true

[ml2]
type_drivers = local,flat
tenant_network_types = local
mechanism_drivers = linuxbridge
extension_drivers = port_security

[ml2_type_flat]
flat_networks = *

[linux_bridge]
physical_interface_mappings =

[vxlan]
enable_vxlan = false

[securitygroup]
enable_security_group = true
firewall_driver = noop

[agent]
root_helper = sudo neutron-rootwrap /etc/neutron/rootwrap.conf
report_interval = 20

INI
    auth_section nova neutron; common_ini neutron; } > "$c"
  step "neutron: schema" once neutron-db neutron_db "$c"
  step "neutron: account and endpoint" once neutron-account service_account neutron network neutron "http://$IP:${PORT[neutron]}"
  start neutron neutron-server neutron-server --config-file "$c"
  start neutron neutron-linuxbridge neutron-linuxbridge-agent --config-file "$c" --log-file "$DIR/log/neutron-linuxbridge.log"
  step "neutron: API" healthy neutron-server "http://$IP:${PORT[neutron]}/"
  step "neutron: linuxbridge reports" retry 120 neutron_up
  step "neutron: network private (10.77.0.0/24)" once neutron-net seed network
}
neutron_db() { database neutron; neutron-db-manage --config-file "$1" upgrade head; }
neutron_up() { [ "$(sql "SELECT COUNT(*) FROM neutron.agents WHERE heartbeat_timestamp > UTC_TIMESTAMP() - INTERVAL 75 SECOND")" -ge 1 ]; }
down_neutron() { local b; for b in $(ls /sys/class/net | grep '^brq' || true); do ip link del "$b" 2>/dev/null || true; done; }
