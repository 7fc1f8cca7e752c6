# SPDX-License-Identifier: Apache-2.0
# API and engine; trusts for deferred work, and a domain for the users heat creates
pkgs_heat() { echo heat-api heat-engine python3-heatclient; }

up_heat() {
  local c=$DIR/etc/heat/heat.conf
  conf_dir heat
  { cat <<INI
[DEFAULT]
host = ministack
log_dir = $DIR/log
transport_url = $RABBIT
num_engine_workers = 1
deferred_auth_method = trusts
trusts_delegated_roles =
stack_domain_admin = heat_domain_admin
stack_domain_admin_password = $PASS
stack_user_domain_name = heat
region_name_for_services = $REGION
heat_metadata_server_url = http://$IP:${PORT[heatcfn]}
heat_waitcondition_server_url = http://$IP:${PORT[heatcfn]}/v1/waitcondition
server_keystone_endpoint_type = public
auth_encryption_key = ministack-ministack-ministack-32
default_deployment_signal_transport = HEAT_SIGNAL
default_user_data_format = RAW
max_stacks_per_tenant = 1000
convergence_engine = true

[heat_api]
bind_host = $IP
bind_port = ${PORT[heat]}
workers = 1

[paste_deploy]
flavor =
api_paste_config = /etc/heat/api-paste.ini

[clients_keystone]
auth_uri = $AUTH_URL
INI
    auth_section trustee heat | grep -v project_    # a trust brings its own project
    common_ini heat; } > "$c"
  step "heat: schema" once heat-db heat_db "$c"
  step "heat: account and endpoint" once heat-account service_account heat orchestration heat "http://$IP:${PORT[heat]}/v1/%(tenant_id)s"
  step "heat: domain for stack users" once heat-domain register domain heat heat_domain_admin
  start heat heat-api heat-api --config-file "$c"
  start heat heat-engine heat-engine --config-file "$c"
  step "heat: API" healthy heat-api "http://$IP:${PORT[heat]}/"
  step "heat: engine reports" retry 120 heat_up
}
heat_db() { database heat; heat-manage --config-file "$1" db_sync; }
heat_up() { alive heat-engine && [ "$(sql "SELECT COUNT(*) FROM heat.service WHERE deleted_at IS NULL AND updated_at > UTC_TIMESTAMP() - INTERVAL 90 SECOND")" -ge 1 ]; }
