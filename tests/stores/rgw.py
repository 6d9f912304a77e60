"""Ceph's object gateway, a real S3 server: a monitor, an object storage daemon in memory, and the gateway.

It starts in 15 seconds and takes 130 MiB. `.ci/system-packages s3` installs radosgw, ceph-mon and ceph-osd.

Authentication must be on, or the gateway waits for minutes. No manager is needed. An OSD's keyring is best created by
the monitor.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.service.running import free_port
from tests.stores.s3_servers import CREDENTIALS, Server, server_at

STORE_BYTES = 3 << 30
UP_SECONDS = 90
CONFIGURATION = """
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = {monitor}
keyring = {folder}/keyring
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
run_dir = {folder}
log_file = {folder}/$name.log
admin_socket = {folder}/$name.$pid.asok
[mon.a]
mon_data = {folder}/mon
[osd.0]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = {store_bytes}
keyring = {folder}/osd/keyring
"""


class Cluster:
    """The processes, in a folder of their own. Its path must be short, as those of sockets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.monitor = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
        self.address = f"http://127.0.0.1:{free_port()}"

    def run(self, *command: str) -> None:
        done = subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, timeout=UP_SECONDS)
        assert done.returncode == 0, (command, done.stderr.decode(errors="replace")[-2000:])

    def start(self, *command: str) -> None:
        with open(self.folder / f"{command[0]}.out", "wb") as out:
            process = subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=out, stderr=out)
        self.processes.append(process)

    def environment(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self.folder / "ceph.conf")}

    def up(self) -> None:
        folder, fsid, osd = str(self.folder), str(uuid.uuid4()), str(uuid.uuid4())
        settings = {"fsid": fsid, "folder": folder, "monitor": self.monitor, "store_bytes": STORE_BYTES}
        (self.folder / "ceph.conf").write_text(CONFIGURATION.format(**settings))
        for name in ("mon", "osd", "rgw"):
            (self.folder / name).mkdir()
        everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        self.run("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self.run("ceph-authtool", "keyring", "--gen-key", "-n", "client.admin", *everything)
        self.run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", self.monitor, "monmap")
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", "monmap", "--keyring", "keyring")
        self.start("ceph-mon", "-i", "a", "-f")
        self.run("ceph", "osd", "new", osd)
        caps = ("mon", "allow profile osd", "osd", "allow *")
        self.run("ceph", "auth", "get-or-create", "osd.0", *caps, "-o", "osd/keyring")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.start("ceph-osd", "-i", "0", "-f")
        keys = (CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        user = ("--uid=t", "--display-name=t", f"--access-key={keys[0]}", f"--secret-key={keys[1]}")
        self.run("radosgw-admin", "user", "create", *user)
        gateway = ("--no-mon-config", "--keyring", "keyring", "--rgw-data", f"{folder}/rgw")
        frontend = f"beast endpoint={self.address.removeprefix('http://')}"
        self.start("radosgw", "-n", "client.admin", *gateway, "--rgw-frontends", frontend, "-f")
        self.wait()

    def wait(self) -> None:
        for _ in range(UP_SECONDS * 5):
            with suppress(OSError), urllib.request.urlopen(self.address, timeout=5):
                return
            assert self.processes[-1].poll() is None, (self.folder / "radosgw.out").read_text()[-2000:]
            time.sleep(0.2)
        raise AssertionError("the gateway did not start")

    def down(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()


@contextmanager
def rados_gateway() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="rgw-"))
    cluster = Cluster(folder)
    try:
        cluster.up()
        with server_at(cluster.address) as server:
            yield server
    finally:
        cluster.down()
        shutil.rmtree(folder)
