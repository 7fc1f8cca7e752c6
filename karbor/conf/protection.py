# SPDX-License-Identifier: Apache-2.0
"""Which settings does a worker have: providers, jobs, vault?"""

from oslo_config import cfg

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "provider_config_dir",
        default="/etc/karbor/providers.d",
        help="Directory whose *.conf files each describe one provider.",
    ),
    cfg.ListOpt(
        "enabled_hypervisors",
        default=[],
        help="Hypervisor drivers (entry points of karbor.hypervisors) this worker loads, for example libvirt.",
    ),
    cfg.StrOpt(
        "default_project",
        default="",
        help="Project that owns guests which name no owner themselves. Empty: every project sees them.",
    ),
    cfg.IntOpt(
        "max_chosen",
        default=1000,
        min=1,
        max=10000,
        help="Resources that one run of a plan may choose by tags, metadata and names. More are an error: the run "
        "fails and says so.",
    ),
    cfg.IntOpt(
        "max_passing",
        default=16,
        min=1,
        help="Snapshots, volumes or images that one protect has in the cloud for a while at the same time. What "
        "belongs together, as a server and its volumes, is always worked on at once.",
    ),
    cfg.IntOpt(
        "max_concurrent_operations",
        default=2,
        min=0,
        help="Jobs this worker runs at the same time. 0: only those steps of others' jobs that need this host, as on a "
        "compute host that shall do nothing but freeze and read its own servers.",
    ),
    cfg.IntOpt(
        "max_parallel_steps",
        default=2,
        min=1,
        help="Steps of one worker that run at the same time, and beside them as many of those that need this host for "
        "jobs of other hosts. Each that reads or writes a disk needs about 75 MiB.",
    ),
    cfg.IntOpt(
        "max_parallel_snapshots",
        default=8,
        min=1,
        max=64,
        help="Beside these, steps that freeze guests and have snapshots of what they use taken, at the same time. They "
        "move no data, and no guest stays frozen because disks are read.",
    ),
]

JOB_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "lease",
        default=20,
        min=2,
        help="Seconds after the last sign of life of a worker until another one takes its job over.",
    ),
    cfg.FloatOpt("poll", default=2.0, min=0.1, help="Seconds between two looks for jobs that no message told of."),
    cfg.IntOpt("attempts", default=3, min=1, help="How often a job is begun anew after a fault that may pass."),
    cfg.IntOpt("retry_delay", default=5, min=0, help="Seconds before a job is begun anew."),
    cfg.IntOpt("grace", default=30, min=0, help="Seconds that running steps get when the service is asked to stop."),
]

VAULT_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "master_key_file",
        default="/etc/karbor/master.key",
        help="File (mode 0600) with the key that wraps every project's key. Whoever loses it loses all checkpoints.",
    ),
    cfg.StrOpt(
        "master_key_source",
        default="file",
        choices=[
            ("file", "the file master_key_file"),
            ("castellan", "a key manager: Barbican, or HashiCorp Vault, through castellan"),
        ],
        help="Where the master key comes from. castellan must be installed beside, where it is to be used.",
    ),
    cfg.ListOpt(
        "other_master_key_files",
        default=[],
        help="Files with further master keys, which only open: the old one while the master key is changed, or the "
        "new one on workers before it is.",
    ),
    cfg.StrOpt("master_key_id", default="", help="Id of the master key in the key manager (castellan)."),
    cfg.ListOpt(
        "other_master_key_ids", default=[], help="As other_master_key_files, for a key manager: ids of the secrets."
    ),
    cfg.StrOpt(
        "castellan_config",
        default="/etc/karbor/castellan.conf",
        help="Settings file of castellan, with its sections key_manager, barbican or vault.",
    ),
    cfg.IntOpt(
        "key_manager_timeout",
        default=20,
        min=1,
        help="Seconds that the key manager gets to give one key, with the login to Keystone where it wants one.",
    ),
    cfg.IntOpt(
        "key_check_interval",
        default=60,
        min=1,
        help="Seconds until a running worker has forgotten a key that was destroyed. It asks the bank once in that "
        "time for each project that it works for.",
    ),
    cfg.StrOpt(
        "sealer_dir",
        default="",
        help="Directory of sealer files (*.seal, of karbor-manage key sealer). Where it is set, this worker has no "
        "master key: it makes checkpoints of those projects and can read none but those it made since it was started. "
        "It takes no other jobs.",
    ),
    cfg.MultiStrOpt(
        "shared_domain",
        default=[],
        help="NAME: PROJECT, PROJECT... - projects that share one key, so that equal data of theirs is stored once. "
        "They trust each other: each can find out whether another one has stored a certain content. May be repeated; "
        "the same on all workers. What a project stored before stays where it is, and can be read.",
    ),
    cfg.StrOpt("cache_dir", default="/var/lib/karbor/cache", help="Directory for indexes that can be rebuilt."),
    cfg.IntOpt("compression_level", default=1, min=-5, max=19, help="zstd level; 1 is the best price on disk images."),
    cfg.IntOpt("threads", default=2, min=1, help="Threads that hash, compress and seal one stream."),
    cfg.IntOpt(
        "write_lease",
        default=3600,
        min=60,
        help="Seconds after the last sign of life in the bank until what a job stored may be cleaned up. Long enough "
        "for a restart of all services. The same in all services that use a bank.",
    ),
    cfg.IntOpt(
        "write_lease_margin",
        default=300,
        min=0,
        help="Seconds before the end of its write lease when a worker stops by itself; longer than a request takes.",
    ),
    cfg.IntOpt(
        "max_clock_skew",
        default=300,
        min=0,
        help="Seconds that the clocks of services that share a bank may be apart. Where they are further apart, "
        "backups may fail; no data is lost.",
    ),
]

CLEANUP_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "interval",
        default=21600,
        min=0,
        help="Seconds between two clean-ups of a bank, whichever worker does them. 0: never by itself.",
    ),
    cfg.IntOpt(
        "grace",
        default=3600,
        min=0,
        help="Seconds that data must have been without use, at least, before it is deleted.",
    ),
    cfg.FloatOpt(
        "thin",
        default=0.5,
        min=0,
        max=1,
        help="Packs of which less than this share is needed are written anew, to give back the rest.",
    ),
    cfg.IntOpt(
        "tombstone_days",
        default=30,
        min=1,
        help="Days that a bank remembers a deleted checkpoint. No worker that was stopped in the middle of a commit "
        "may go on after a longer time.",
    ),
    cfg.IntOpt("bytes_per_second", default=0, min=0, help="Bound of what clean-up reads and writes. 0: no bound."),
    cfg.IntOpt("requests_per_second", default=0, min=0, help="Bound of the requests of clean-up. 0: no bound."),
]

PURGE_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "interval",
        default=3600,
        min=0,
        help="Seconds between two looks of a worker for rows of the database that are old enough to go. 0: never.",
    ),
    cfg.IntOpt("job_days", default=7, min=0, help="Days that ended jobs are kept for operators. 0: for ever."),
    cfg.IntOpt(
        "tombstone_days", default=30, min=0, help="Days that deleted checkpoints can still be listed. 0: for ever."
    ),
    cfg.IntOpt("run_days", default=180, min=0, help="Days after which ended restores and verifications go. 0: never."),
    cfg.IntOpt("log_days", default=400, min=0, help="Days that operation logs are kept. 0: for ever."),
]


EXPORT_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        "per_project", default=8, min=0, help="Exports of a project that may be there at the same time. 0: none."
    ),
    cfg.IntOpt("max_seconds", default=86400, min=1, help="The longest time an export may be asked for."),
    cfg.IntOpt("cache", default=64, min=8, help="MiB of what was read that the process of one export keeps at hand."),
    cfg.IntOpt(
        "file_readers",
        default=4,
        min=1,
        help="Questions about files of checkpoints that one worker answers at a time. Each has a process of its own, "
        "with up to 1 GiB of memory.",
    ),
    cfg.IntOpt(
        "file_max",
        default=10240,
        min=0,
        help="MiB of the largest file of a checkpoint that the API hands out. 0: none is handed out.",
    ),
    cfg.IntOpt(
        "file_rate", default=0, min=0, help="MiB in a second that one download of a file gets at most. 0: no bound."
    ),
    cfg.IntOpt(
        "file_seconds",
        default=3600,
        min=10,
        help="Seconds after which a download of a file is cut off; a client goes on with a range.",
    ),
    cfg.IntOpt(
        "downloads",
        default=4,
        min=1,
        help="Downloads of files that one API process serves at a time; each keeps one of its threads busy.",
    ),
    cfg.IntOpt("project_downloads", default=2, min=1, help="How many of them may be of one project."),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register these options; may be called again."""
    conf.register_opts(OPTS)
    conf.register_opts(JOB_OPTS, group="jobs")
    conf.register_opts(VAULT_OPTS, group="vault")
    conf.register_opts(CLEANUP_OPTS, group="cleanup")
    conf.register_opts(PURGE_OPTS, group="purge")
    conf.register_opts(EXPORT_OPTS, group="export")


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """For oslo-config-generator."""
    return [
        ("DEFAULT", OPTS),
        ("jobs", JOB_OPTS),
        ("vault", VAULT_OPTS),
        ("cleanup", CLEANUP_OPTS),
        ("purge", PURGE_OPTS),
        ("export", EXPORT_OPTS),
    ]
