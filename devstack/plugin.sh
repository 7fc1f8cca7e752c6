#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How does DevStack install and start the three daemons of Karbor?
#
#   enable_plugin karbor <this repository>      (in local.conf)
#
# The daemons use the database and the message broker of DevStack, and noauth, which answers on the loopback address
# only. This installs the KVM part of Karbor: it protects guests of the libvirt on this host.

function install_karbor {
    install_package pkg-config libvirt-dev qemu-utils
    setup_develop "$KARBOR_DIR"
}

function configure_karbor {
    sudo install -d -o "$STACK_USER" "$KARBOR_CONF_DIR" "$KARBOR_CONF_DIR/providers.d" "$KARBOR_STATE_PATH"
    cp "$KARBOR_DIR"/etc/karbor/providers.d/*.conf "$KARBOR_CONF_DIR/providers.d/"
    sed -i "s|^file_system_bank_path = .*|file_system_bank_path = $KARBOR_STATE_PATH/bank|" \
        "$KARBOR_CONF_DIR"/providers.d/*.conf

    rm -f "$KARBOR_CONF"
    iniset "$KARBOR_CONF" DEFAULT state_path "$KARBOR_STATE_PATH"
    iniset "$KARBOR_CONF" DEFAULT provider_config_dir "$KARBOR_CONF_DIR/providers.d"
    iniset "$KARBOR_CONF" DEFAULT auth_strategy noauth
    iniset "$KARBOR_CONF" DEFAULT osapi_karbor_listen 127.0.0.1
    iniset "$KARBOR_CONF" DEFAULT osapi_karbor_listen_port "$KARBOR_PORT"
    iniset "$KARBOR_CONF" DEFAULT enabled_hypervisors libvirt
    iniset "$KARBOR_CONF" DEFAULT default_project "$KARBOR_DEFAULT_PROJECT"
    iniset "$KARBOR_CONF" database connection "$(database_connection_url karbor)"
    iniset "$KARBOR_CONF" vault master_key_file "$KARBOR_CONF_DIR/master.key"
    iniset "$KARBOR_CONF" vault cache_dir "$KARBOR_STATE_PATH/cache"
    iniset "$KARBOR_CONF" libvirt uri "$KARBOR_LIBVIRT_URI"
    iniset_rpc_backend karbor "$KARBOR_CONF"
}

function init_karbor {
    local manage="$KARBOR_BIN_DIR/karbor-manage --config-file $KARBOR_CONF"
    recreate_database karbor
    $manage db sync
    [ -e "$KARBOR_CONF_DIR/master.key" ] || $manage key create
    local provider
    for provider in $(sed -n 's/^id = //p' "$KARBOR_CONF_DIR"/providers.d/*.conf); do
        $manage bank init "$provider"
    done
}

function start_karbor {
    local daemon
    for daemon in karbor-protection karbor-operationengine karbor-api; do
        run_process "$daemon" "$KARBOR_BIN_DIR/$daemon --config-file $KARBOR_CONF"
    done
}

function stop_karbor {
    local daemon
    for daemon in karbor-api karbor-operationengine karbor-protection; do
        stop_process "$daemon"
    done
}

KARBOR_BIN_DIR=$(get_python_exec_prefix)

if is_service_enabled karbor-api; then
    case "$1 ${2-}" in
        "stack install") install_karbor ;;
        "stack post-config") configure_karbor ;;
        "stack extra") init_karbor; start_karbor ;;
        "unstack "*) stop_karbor ;;
        "clean "*) sudo rm -rf "$KARBOR_STATE_PATH" "$KARBOR_CONF_DIR" ;;
    esac
fi
