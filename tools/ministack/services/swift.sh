# SPDX-License-Identifier: Apache-2.0
# One proxy and one account, container and object server; one replica on a plain directory
pkgs_swift() { echo swift-proxy swift-account swift-container swift-object python3-swiftclient python3-keystonemiddleware; }

swift_rings() {
  local kind b
  for kind in account container object; do
    b=$DIR/etc/swift/$kind
    swift-ring-builder "$b.builder" create 4 1 1
    swift-ring-builder "$b.builder" add "r1z1-$IP:${PORT[$kind]}/d1" 100
    swift-ring-builder "$b.builder" rebalance || [ $? = 1 ]
  done
}
up_swift() {
  local e=$DIR/etc/swift kind
  conf_dir swift; mkdir -p "$DIR/data/swift/d1" "$DIR/run/swift"
  printf '[swift-hash]\nswift_hash_path_suffix = ministack\nswift_hash_path_prefix = ministack\n' > "$e/swift.conf"
  local common="[DEFAULT]
bind_ip = $IP
user = root
workers = 0
swift_dir = $e
devices = $DIR/data/swift
mount_check = false
log_level = WARNING"
  for kind in account container object; do cat > "$e/$kind.conf" <<INI
$common
bind_port = ${PORT[$kind]}

[pipeline:main]
pipeline = healthcheck $kind-server

[filter:healthcheck]
use = egg:swift#healthcheck

[app:$kind-server]
use = egg:swift#$kind
INI
  done
  cat > "$e/proxy.conf" <<INI
$common
bind_port = ${PORT[swift]}

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache listing_formats bulk tempurl s3api s3token authtoken keystoneauth copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-logging proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
node_timeout = 60

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory
delay_auth_decision = true
$(authtoken swift | sed '1,2d')

[filter:keystoneauth]
use = egg:swift#keystoneauth
operator_roles = admin, member

[filter:s3token]
use = egg:swift#s3token
auth_uri = $AUTH_URL
delay_auth_decision = true

[filter:cache]
use = egg:swift#memcache
memcache_servers = $IP:${PORT[memcached]}

[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true

$(for f in catch_errors gatekeeper healthcheck listing_formats:listing_formats proxy-logging:proxy_logging bulk tempurl s3api copy \
      container-quotas:container_quotas account-quotas:account_quotas slo dlo symlink; do
    printf '[filter:%s]\nuse = egg:swift#%s\n' "${f%:*}" "${f#*:}"; done)
INI
  step "swift: rings" once swift-rings swift_rings
  step "swift: account and endpoint" once swift-account service_account swift object-store swift "http://$IP:${PORT[swift]}/v1/AUTH_%(tenant_id)s"
  for kind in account container object; do start swift swift-$kind swift-$kind-server "$e/$kind.conf" -v; done
  start swift swift-proxy swift-proxy-server "$e/proxy.conf" -v
  for kind in account container object; do step "swift: $kind server" healthy swift-$kind "http://$IP:${PORT[$kind]}/healthcheck"; done
  step "swift: proxy" healthy swift-proxy "http://$IP:${PORT[swift]}/healthcheck"
}
