# SPDX-License-Identifier: Apache-2.0
"""Create, use and delete real resources as user demo: selftest.py [swift|volume|backup|server|inuse|share|heat]..."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import openstack
from cinderclient import client as cinder_client
from heatclient import client as heat_client

ALL = ("swift", "volume", "backup", "server", "inuse", "share", "heat")
start = time.monotonic()
cloud = openstack.connect(username="demo", project_name="demo")
block, compute = cloud.block_storage, cloud.compute
cinder = cinder_client.Client("3.66", session=cloud.session, region_name="RegionOne")
trash = []  # (description, function): undone in reverse order


def say(text):
    print(f"{time.monotonic() - start:7.1f}s  {text}", flush=True)


def wait(get, want, seconds=180, bad=("error", "error_restoring", "ERROR", "CREATE_FAILED")):
    """Poll get() until its status is wanted; None stands for gone."""
    last = None
    for _ in range(seconds * 2):
        try:
            thing = get()
            last = getattr(thing, "stack_status", None) or thing.status
        except Exception as error:
            if want is None and ("404" in str(error) or "could not be found" in str(error).lower()):
                return None
            raise
        if last == want:
            return thing
        if last in bad:
            raise SystemExit(
                "FAILED: {} is {}: {}".format(type(thing).__name__, last, getattr(thing, "fail_reason", ""))
            )
        time.sleep(0.5)
    raise SystemExit(f"FAILED: {last}, not {want}, after {seconds}s")


def volume(name, **more):
    made = cinder.volumes.create(1, name=name, volume_type=os.environ.get("MINISTACK_VOLUME_TYPE"), **more)
    trash.append(("volume " + name, lambda: drop(cinder.volumes, made.id)))
    wait(lambda: cinder.volumes.get(made.id), "available")
    say("volume {} available ({})".format(name, ", ".join(more) or "empty"))
    return made


def drop(manager, ident):
    manager.delete(ident)
    wait(lambda: manager.get(ident), None)


def backup(volume_id, name, **more):
    t = time.monotonic()
    made = cinder.backups.create(volume_id, name=name, container="selftest", **more)
    trash.append(("backup " + name, lambda: drop(cinder.backups, made.id)))
    done = wait(lambda: cinder.backups.get(made.id), "available", 300)
    say(
        f"backup {name} available after {time.monotonic() - t:.1f}s: "
        f"incremental={done.is_incremental} objects={done.object_count}"
    )
    return made


def snapshot(volume_id, name, **more):
    made = cinder.volume_snapshots.create(volume_id, name=name, **more)
    trash.append(("snapshot " + name, lambda: drop(cinder.volume_snapshots, made.id)))
    wait(lambda: cinder.volume_snapshots.get(made.id), "available")
    say(f"snapshot {name} available")
    return made


def guest(server, *command):
    """Run a command in the guest through its qemu-guest-agent; its standard output."""
    return subprocess.run(
        [sys.executable, str(Path(__file__).parent / "guest.py"), server.instance_name, *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def wait_guest(server, path, text):
    for _ in range(60):
        if text in guest(server, "cat", path):
            return
        time.sleep(1)
    raise SystemExit(f"FAILED: no {text} in the guest's {path}")


def test_swift():
    store = cloud.object_store
    store.create_container("selftest-c")
    store.upload_object("selftest-c", "o", data=b"x" * 100000)
    assert store.download_object("o", container="selftest-c") == b"x" * 100000
    store.delete_object("o", container="selftest-c")
    store.delete_container("selftest-c")
    say("swift: object written, read, deleted")


def test_volume():
    data = os.urandom(1 << 20)
    image = cloud.create_image("selftest", data=data, disk_format="raw", container_format="bare", wait=True)
    trash.append(("image", lambda: cloud.delete_image(image.id)))
    assert hashlib.sha512(data).hexdigest() == image.hash_value
    say("glance: image uploaded")
    made = volume("from-image", imageRef=image.id)
    snap = snapshot(made.id, "snap")
    volume("from-snapshot", snapshot_id=snap.id)


def test_backup():
    made = volume("backed-up", imageRef=cloud.image.find_image("ministack").id)
    full = backup(made.id, "full")
    incremental = backup(made.id, "incremental", incremental=True)
    snap = snapshot(made.id, "for-backup")
    backup(made.id, "of-snapshot", snapshot_id=snap.id)
    t = time.monotonic()
    restored = cinder.restores.restore(incremental.id, name="restored")
    trash.append(("volume restored", lambda: drop(cinder.volumes, restored.volume_id)))
    wait(lambda: cinder.volumes.get(restored.volume_id), "available")
    say(f"restored {full.id[:8]} into a new volume in {time.monotonic() - t:.1f}s")


def boot(name, **more):
    t = time.monotonic()
    made = compute.create_server(
        name=name,
        flavor_id=compute.find_flavor("m1.micro").id,
        image_id=cloud.image.find_image("ministack-fast").id,
        networks=[{"uuid": cloud.network.find_network("private").id}],
        **more,
    )

    def remove():
        compute.delete_server(made.id)
        compute.wait_for_delete(made, wait=120, interval=0.5)

    trash.append(("server " + name, remove))
    server = wait(lambda: compute.get_server(made.id), "ACTIVE")
    say(f"server {name} ACTIVE after {time.monotonic() - t:.1f}s")
    wait_console(server, "MINISTACK-READY")
    say(
        "server {} booted after {:.1f}s, address {}".format(
            name, time.monotonic() - t, server.addresses["private"][0]["addr"]
        )
    )
    server.instance_name = openstack.connect().compute.get_server(made.id).instance_name
    return server


def wait_console(server, text, seconds=240):
    for _ in range(seconds):
        if text in (compute.get_server_console_output(server.id)["output"] or ""):
            return
        time.sleep(1)
    raise SystemExit(f"FAILED: no {text} on the console of {server.name}")


def attach(server, made):
    compute.create_volume_attachment(server.id, volumeId=made.id)
    trash.append(("attachment", lambda: detach(server, made)))
    wait(lambda: cinder.volumes.get(made.id), "in-use")
    say("volume attached: {}".format(cinder.volumes.get(made.id).attachments[0]["device"]))


def detach(server, made):
    compute.delete_volume_attachment(made.id, server.id)
    wait(lambda: cinder.volumes.get(made.id), "available")


def test_server():
    server = boot("plain")
    made = volume("data")
    attach(server, made)
    wait_guest(server, "/proc/partitions", "vdb")
    guest(server, "mke2fs", "/dev/vdb")
    wait_guest(server, "/proc/mounts", "/mnt/vdb")
    guest(server, "sh", "-c", "echo hello > /mnt/vdb/f && sync")
    say("guest wrote to the volume")
    return server, made


def test_inuse():
    server, made = test_server()
    backup(made.id, "in-use-full", force=True)  # NFS: before any snapshot, see README
    backup(made.id, "in-use-incremental", force=True, incremental=True)
    snap = snapshot(made.id, "in-use", force=True)
    guest(server, "sh", "-c", "echo later > /mnt/vdb/f; sync")
    copy = volume("from-in-use-snapshot", snapshot_id=snap.id)
    attach(server, copy)
    wait_guest(server, "/proc/mounts", "/mnt/vdc")
    text = guest(server, "cat", "/mnt/vdc/f")
    assert text == "hello\n", text
    say("the snapshot's copy holds the old content, read back in the guest")
    image = compute.create_server_image(server.id, "selftest-server-image", wait=True)
    trash.append(("server image", lambda: cloud.delete_image(image.id)))
    say(f"server image {cloud.image.get_image(image.id).status}")


def test_share():
    if not cloud.session.get_endpoint(service_type="sharev2"):
        say("no manila here")
        return
    from manilaclient import client as manila_client

    manila = manila_client.Client("2.51", session=cloud.session, region_name="RegionOne", service_type="sharev2")

    def share(name, **more):
        t = time.monotonic()
        made = manila.shares.create("CEPHFS", 1, name=name, **more)
        trash.append(("share " + name, lambda: drop(manila.shares, made.id)))
        wait(lambda: manila.shares.get(made.id), "available")
        say(f"share {name} available after {time.monotonic() - t:.1f}s")
        return made

    snap = manila.share_snapshots.create(share("plain-share").id, name="of-share")
    trash.append(("share snapshot", lambda: drop(manila.share_snapshots, snap.id)))
    wait(lambda: manila.share_snapshots.get(snap.id), "available")
    share("from-share-snapshot", snapshot_id=snap.id)


def test_heat():
    heat = heat_client.Client("1", session=cloud.session, region_name="RegionOne")
    template = {
        "heat_template_version": "2018-08-31",
        "resources": {
            "volume": {"type": "OS::Cinder::Volume", "properties": {"size": 1}},
            "server": {
                "type": "OS::Nova::Server",
                "properties": {"image": "ministack-fast", "flavor": "m1.nano", "networks": [{"network": "private"}]},
            },
            "attachment": {
                "type": "OS::Cinder::VolumeAttachment",
                "properties": {"instance_uuid": {"get_resource": "server"}, "volume_id": {"get_resource": "volume"}},
            },
        },
    }
    t = time.monotonic()
    stack = heat.stacks.create(stack_name=f"selftest-{os.getpid()}", template=template)["stack"]["id"]

    def remove():
        heat.stacks.delete(stack)
        wait(lambda: heat.stacks.get(stack), "DELETE_COMPLETE")

    trash.append(("stack", remove))
    wait(lambda: heat.stacks.get(stack), "CREATE_COMPLETE", 300)
    say("stack of a volume, a server and an attachment complete after %.1fs" % (time.monotonic() - t))


failed = False
try:
    for part in sys.argv[1:] or ALL:
        if part == "server" and "inuse" in (sys.argv[1:] or ALL):
            continue  # inuse begins with it
        say("== " + part)
        globals()["test_" + part]()
finally:
    if not os.environ.get("MINISTACK_KEEP"):
        for what, undo in reversed(trash):
            try:
                undo()
            except BaseException as error:
                failed = True
                say(f"clean-up of {what}: {str(error)[:200]}")
        say(f"cleaned up {len(trash)} things")
sys.exit(failed)
