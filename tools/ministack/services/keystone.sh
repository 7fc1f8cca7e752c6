# SPDX-License-Identifier: Apache-2.0
pkgs_keystone() { echo keystone; }

up_keystone() {
  conf_dir keystone
  cat > "$DIR/etc/keystone/keystone.conf" <<INI
[DEFAULT]
log_file = $DIR/log/keystone.log

[database]
connection = $(db_url keystone)

[cache]
enabled = true
backend = dogpile.cache.pymemcache
memcache_servers = $IP:${PORT[memcached]}

[token]
provider = fernet
expiration = ${MINISTACK_TOKEN_SECONDS:-14400}

[fernet_tokens]
key_repository = $DIR/etc/keystone/fernet-keys

[fernet_receipts]
key_repository = $DIR/etc/keystone/fernet-keys

[credential]
key_repository = $DIR/etc/keystone/credential-keys
INI
  mkdir -p "$DIR"/etc/keystone/{fernet,credential}-keys
  chmod 700 "$DIR"/etc/keystone/{fernet,credential}-keys
  step "keystone: schema" once keystone-db keystone_db
  uwsgi keystone keystone ${PORT[keystone]} /usr/bin/keystone-wsgi-public OS_KEYSTONE_CONFIG_DIR="$DIR/etc/keystone"
  step "keystone: API" healthy keystone $AUTH_URL
  step "keystone: tenants demo and other" once keystone-tenants register tenant demo other
}
keystone_manage() { keystone-manage --config-file "$DIR/etc/keystone/keystone.conf" "$@"; }
keystone_db() {
  database keystone
  keystone_manage db_sync
  local f    # what fernet_setup and credential_setup do, without ten seconds of start-up each
  for f in "$DIR"/etc/keystone/{fernet,credential}-keys/{0,1}; do
    python3 -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode(), end="")' > "$f"; chmod 600 "$f"
  done
  keystone_manage bootstrap --bootstrap-password $PASS --bootstrap-region-id $REGION \
    --bootstrap-admin-url $AUTH_URL --bootstrap-internal-url $AUTH_URL --bootstrap-public-url $AUTH_URL
}
