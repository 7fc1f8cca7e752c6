# SPDX-License-Identifier: Apache-2.0
"""How do tests get a MariaDB, PostgreSQL or RabbitMQ of their own?

Each context manager yields a URL, and stops its server and removes its directory at the end, also when the test process
dies (see guardian.py); ``mariadb_server`` and ``rabbitmq_server`` yield a Server, which a test can end and start again.
Everything lies in one temporary directory on free ports of the loopback; several servers may run at once; the system's
own services and clusters are not touched. Missing programs are installed from Debian packages (as root, or with sudo).
"""

import fcntl
import getpass
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

READY_SECONDS = 300
_GUARDIAN = Path(__file__).with_name("guardian.py")
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@contextmanager
def mariadb() -> Iterator[str]:
    """An empty MariaDB database; yields its SQLAlchemy URL."""
    with mariadb_server() as server:
        yield server.url


@contextmanager
def mariadb_server() -> Iterator["Server"]:
    """An empty MariaDB database. A kill loses nothing that was committed."""
    install("mariadb-server-core", "mariadb-client-core", having=lambda: bool(_which("mariadbd", "mariadb-install-db")))
    with directory() as home:
        user = getpass.getuser()  # the server insists on being told so when that is root
        data, options = home / "data", ["--no-defaults", f"--user={user}"]
        make = ["mariadb-install-db", *options, f"--datadir={data}", "--auth-root-authentication-method=normal"]
        _check([*make, "--skip-test-db"], home)
        grants = "".join(
            f"CREATE USER IF NOT EXISTS karbor@'{host}' IDENTIFIED BY 'karbor';\nGRANT ALL ON *.* TO karbor@'{host}';\n"
            for host in ("localhost", "127.0.0.1")
        )
        (home / "init.sql").write_text(f"CREATE DATABASE IF NOT EXISTS karbor CHARACTER SET utf8mb4;\n{grants}")

        def command(port: int) -> Sequence[str]:
            places = [f"--datadir={data}", f"--socket={home}/socket", f"--pid-file={home}/pid", f"--tmpdir={home}"]
            network = ["--bind-address=127.0.0.1", f"--port={port}", f"--init-file={home}/init.sql"]
            small = ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2", "--skip-log-bin"]
            return [_which("mariadbd"), *options, *places, *network, *small]

        def ready(port: int) -> None:
            import pymysql

            pymysql.connect(host="127.0.0.1", port=port, user="karbor", password="karbor", database="karbor").close()

        with running(Plan("mariadb", command, ready, "SIGKILL"), home) as server:
            server.url = f"mysql+pymysql://karbor:karbor@127.0.0.1:{server.port}/karbor"
            yield server


@contextmanager
def postgresql() -> Iterator[str]:
    """An empty PostgreSQL database, whose own collation is not by code point; yields its SQLAlchemy URL."""
    install("postgresql", having=lambda: bool(_postgresql_bin()))  # its own cluster, if it starts one, is left alone
    user = "postgres" if os.getuid() == 0 else ""  # the server refuses to run as root
    with directory(owner=user) as home:
        programs = _postgresql_bin()
        locale = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"]
        make = [f"{programs}/initdb", "-D", f"{home}/data", "-U", "karbor", "-A", "trust", "-E", "UTF8", "--no-sync"]
        _check([*make, *locale], home, user=user)

        def command(port: int) -> Sequence[str]:
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": port,
                "unix_socket_directories": home,
                "fsync": "off",
                "max_connections": 200,
            }
            given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            return [f"{programs}/postgres", "-D", f"{home}/data", *given]

        def ready(port: int) -> None:
            import psycopg2

            connection = psycopg2.connect(host="127.0.0.1", port=port, user="karbor", dbname="postgres")
            try:
                connection.autocommit = True
                cursor = connection.cursor()
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'karbor'")
                if not cursor.fetchall():
                    cursor.execute("CREATE DATABASE karbor")
            finally:
                connection.close()

        with running(Plan("postgresql", command, ready, "SIGQUIT", user=user), home) as server:
            yield f"postgresql+psycopg2://karbor@127.0.0.1:{server.port}/karbor"


@contextmanager
def rabbitmq() -> Iterator[str]:
    """A broker without queues; yields its transport URL."""
    with rabbitmq_server() as server:
        yield server.url


@contextmanager
def rabbitmq_server() -> Iterator["Server"]:
    """A broker without queues."""
    program = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # not the wrapper in PATH, which changes user and directories
    install("rabbitmq-server", having=lambda: Path(program).exists())
    with directory() as home:
        nothing = home / "nothing"
        nothing.touch()

        def ready_epmd(port: int) -> None:
            socket.create_connection(("127.0.0.1", port), 5).close()

        # Erlang starts a port mapper for the whole machine and leaves it behind; this one is ours, and ends with us.
        def epmd(port: int) -> Sequence[str]:
            return [_which("epmd"), "-address", "127.0.0.1", "-port", str(port)]

        def command(port: int) -> Sequence[str]:
            (home / "rabbitmq.conf").write_text(
                f"listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\ndisk_free_limit.absolute = 1MB\n"
                "vm_memory_high_watermark.absolute = 512MB\n"
            )
            return [program]

        def ready(port: int) -> None:
            with socket.create_connection(("127.0.0.1", port), 5) as broker:
                broker.settimeout(5)
                broker.sendall(b"AMQP\x00\x00\x09\x01")
                if broker.recv(1) != b"\x01":  # the first frame of a connection is a method
                    raise OSError("not ready")

        with running(Plan("epmd", epmd, ready_epmd, "SIGKILL"), home, keep=True) as mapper:
            environment = {
                "HOME": str(home),
                "ERL_EPMD_PORT": str(mapper.port),
                "RABBITMQ_NODENAME": f"karbor-{mapper.port}@localhost",
                "RABBITMQ_DIST_PORT": str(free_port()),
                "RABBITMQ_CONF_ENV_FILE": str(nothing),
                "RABBITMQ_ENABLED_PLUGINS_FILE": str(nothing),
                "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq"),
                "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced"),
                "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
                "RABBITMQ_LOG_BASE": str(home / "log"),
                "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "config"),
                "RABBITMQ_PID_FILE": str(home / "pid"),
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            }
            plan = Plan("rabbitmq", command, ready, "SIGKILL", environment=environment)
            with running(plan, home) as server:
                server.url = f"rabbit://guest:guest@127.0.0.1:{server.port}/"
                yield server


def install(*packages: str, having: Callable[[], bool]) -> None:
    """Install Debian packages unless ``having`` says that they are there. Raises RuntimeError where that fails."""
    if having():
        return
    with Path("/tmp/karbor-tests-apt.lock").open("w") as lock:  # apt itself does not wait for another apt
        fcntl.flock(lock, fcntl.LOCK_EX)
        if having():
            return
        become = [] if os.getuid() == 0 else ["sudo", "-n"]
        apt = [*become, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]
        subprocess.run([*apt, "update"], check=False)  # an old list may do
        done = subprocess.run([*apt, "install", "-y", "--no-install-recommends", *packages], check=False)
    if done.returncode or not having():
        raise RuntimeError(f"needs the Debian packages {' '.join(packages)}; apt-get could not install them")


def free_port() -> int:
    """A port of the loopback that nobody listens on just now, and that no outgoing connection gets by itself."""
    while True:
        port = random.randrange(15000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


@dataclass(frozen=True)
class Plan:
    """How a server is started (on a port), asked whether it is ready (raises until it is), and ended."""

    name: str
    command: Callable[[int], Sequence[str]]
    ready: Callable[[int], None]
    ending: str
    user: str = ""
    environment: Mapping[str, str] | None = None


class Server:
    """A server on a port of its own. ``url`` is for its clients."""

    url = ""

    def __init__(self, plan: Plan, home: Path, *, keep: bool) -> None:
        self._plan, self._home, self._keep = plan, home, keep
        self._log = home / f"{plan.name}.log"
        self._guardian: subprocess.Popen | None = None
        self.port = free_port()
        for _attempt in range(3):  # somebody else may take the free port before the server does
            if self._started():
                return
            self.port = free_port()
        raise RuntimeError(f"{plan.name} did not start: {self._log.read_text(errors='replace')[-3000:]}")

    def start(self) -> None:
        """Again on the same port, with the same data; ready when this returns."""
        deadline = time.monotonic() + READY_SECONDS
        while not self._started():  # the port may be in use a moment longer than the server
            assert time.monotonic() < deadline, self._log.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        """End it as a fault would. Its data is kept."""
        self._end(b".")

    def close(self) -> None:
        """End it. Its guardian removes the directory unless it has to keep that."""
        self._end(b"")

    def _end(self, words: bytes) -> None:
        if self._guardian is None:
            return
        guardian, self._guardian = self._guardian, None
        try:
            guardian.communicate(words, timeout=60)
        except BrokenPipeError:  # it had ended by itself
            guardian.wait(60)

    def _started(self) -> bool:
        with self._log.open("ab") as output:
            self._guardian = subprocess.Popen(
                [*_guard("-" if self._keep else str(self._home), self._plan), *self._plan.command(self.port)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self._home,
                env={"PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8", **(self._plan.environment or {})},
                start_new_session=True,
            )
        try:
            if _wait_ready(self._plan, self.port, self._guardian, self._log):
                return True
        except BaseException:
            self.close()
            raise
        self.stop()
        return False


@contextmanager
def running(plan: Plan, home: Path, *, keep: bool = False) -> Iterator[Server]:
    """A server that is ready. Its guardian removes ``home`` with it, unless ``keep``."""
    server = Server(plan, home, keep=keep)
    try:
        yield server
    finally:
        server.close()


def _guard(directory: str, plan: Plan) -> list[str]:
    return [sys.executable, "-I", str(_GUARDIAN), directory, plan.ending, plan.user or "-"]


def _wait_ready(plan: Plan, port: int, guardian: subprocess.Popen, log: Path) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if guardian.poll() is not None:
            return False
        try:
            plan.ready(port)
            return True
        except Exception as fault:  # noqa: BLE001 - each driver has its own classes for "not yet"
            last = fault
            time.sleep(0.1)
    text = log.read_text(errors="replace")[-3000:]
    raise RuntimeError(f"{plan.name} was not ready within {READY_SECONDS} s: {last}: {text}")


@contextmanager
def directory(*, owner: str = "") -> Iterator[Path]:
    """A directory for one server."""
    home = Path(tempfile.mkdtemp(prefix="karbor-server-", dir="/tmp"))  # short: sockets have paths of at most 107 bytes
    try:
        if owner:
            shutil.chown(home, owner)
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _check(command: Sequence[str], home: Path, *, user: str = "") -> None:
    given = [_which(command[0]) or command[0], *command[1:]]
    environment = {"PATH": _SYSTEM_PATH, "LC_ALL": "C.UTF-8", "HOME": str(home)}
    entry = pwd.getpwnam(user) if user else None
    become = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []} if entry else {}
    done = subprocess.run(given, cwd=home, env=environment, capture_output=True, text=True, check=False, **become)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stdout[-1500:]}{done.stderr[-1500:]}")


def _which(*programs: str) -> str:
    """The first program's path, where all of them are installed; otherwise nothing."""
    found = [shutil.which(program, path=_SYSTEM_PATH) for program in programs]
    return found[0] if found[0] and all(found) else ""


def _postgresql_bin() -> str:
    places = [place.parent for place in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return str(max(places, key=lambda place: int(place.parent.name))) if places else ""
