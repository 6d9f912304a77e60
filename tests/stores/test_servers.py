"""The contract of stores with real servers: Ceph's gateway and Azure's emulator."""

import os
import subprocess
import sys
from collections.abc import Iterator

import obstore
import pytest
from obstore.store import from_url

from compressor.stores import s3, s3_multipart
from compressor.stores.contract import Attributes
from compressor.stores.obstores import CLIENT, ObstoreBucket
from compressor.stores.s3 import Bucket
from tests.stores import test_obstores, test_s3
from tests.stores.azurite import azurite, container
from tests.stores.rgw import rados_gateway
from tests.stores.s3_servers import Server
from tests.stores.store_contract import PLAIN_KEYS, SLASHED_KEYS, Leftovers, Rival, StoreContract, keys

pytestmark = pytest.mark.heavy

MEMORY_MIB = 48  # for a write of 200 MiB, in addition to what the store uses before


@pytest.fixture(scope="module")
def gateway() -> Iterator[Server]:
    with rados_gateway() as server:
        yield server


@pytest.fixture(scope="module")
def azure() -> Iterator[str]:
    with azurite() as address:
        yield address


class TestCeph(StoreContract):
    keys = (*StoreContract.keys, *SLASHED_KEYS)
    attributes = test_s3.ATTRIBUTES

    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3, "PUT_BYTES", 6 << 20)
        monkeypatch.setattr(s3, "PAGE_KEYS", 5)

    @pytest.fixture
    def bucket(self, gateway: Server) -> str:
        return gateway.bucket()

    @pytest.fixture
    def store(self, bucket: str) -> Bucket:
        return Bucket(f"s3://{bucket}/some/prefix", 6 << 20)

    @pytest.fixture
    def rival(self, gateway: Server, bucket: str) -> Rival:
        return lambda key, data: gateway.client.put_object(Bucket=bucket, Key=f"some/prefix/{key}", Body=data)

    @pytest.fixture
    def leftovers(self, gateway: Server, bucket: str) -> Leftovers:
        return lambda: gateway.leftovers(bucket)

    def test_conditions_are_supported(self, store: Bucket) -> None:
        assert store.conditional_bytes == 6 << 20

    def test_acls_are_kept(self, gateway: Server, bucket: str, store: Bucket) -> None:
        for size in (100, 7 << 20):
            test_s3.check_acls(gateway, bucket, store, size)

    def test_a_large_object_is_copied_in_parts(
        self, gateway: Server, store: Bucket, leftovers: Leftovers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_multipart, "COPY_BYTES", 5 << 20)
        monkeypatch.setattr(s3_multipart, "COPY_PART_BYTES", 5 << 20)
        self.test_a_large_object_is_replaced(store, leftovers, 11 << 20)

    def test_versioning_is_reported(self, gateway: Server, bucket: str) -> None:
        gateway.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

        assert "versioned" in Bucket(f"s3://{bucket}", 1).notices[0]

    def test_holds_are_recognized(self, gateway: Server) -> None:
        bucket = gateway.bucket(ObjectLockEnabledForBucket=True)
        gateway.client.put_object(Bucket=bucket, Key="a", Body=b"x", ObjectLockLegalHoldStatus="ON")

        with Bucket(f"s3://{bucket}", 1).open("a") as opened:
            assert opened.held == "legal hold"

    def test_memory_is_flat_over_200_mib(self, gateway: Server, bucket: str) -> None:
        assert peak_mib(f"s3://{bucket}", 200 << 20) < MEMORY_MIB  # by one request
        assert peak_mib(f"s3://{bucket}", 0) < MEMORY_MIB  # in parts


class TestAzure(StoreContract):
    keys = (*PLAIN_KEYS, "'\"<>")
    attributes = Attributes(test_obstores.ATTRIBUTES.headers, test_obstores.ATTRIBUTES.metadata)

    @pytest.fixture
    def name(self, azure: str) -> str:
        return container(azure)

    @pytest.fixture
    def store(self, name: str) -> ObstoreBucket:
        return ObstoreBucket(f"az://{name}/some/prefix", 6 << 20)

    @pytest.fixture
    def rival(self, name: str) -> Rival:
        return lambda key, data: obstore.put(
            from_url(f"az://{name}", client_options=CLIENT), f"some/prefix/{key}", data
        )

    @pytest.fixture
    def leftovers(self, name: str) -> Leftovers:
        return lambda: [key for key in keys(ObstoreBucket(f"az://{name}", 1)) if ".compressor-" in key]

    def test_memory_is_flat_over_200_mib(self, name: str) -> None:
        assert peak_mib(f"az://{name}", 0) < 3 * MEMORY_MIB


PROGRAM = """
import sys
from compressor.stores.contract import Attributes, Precondition
from compressor.stores.open import open_store
from tests.stores.store_contract import BytesBody

class Zeros:
    size = 200 << 20
    def chunks(self):
        for _ in range(self.size >> 18):
            yield bytes(1 << 18)

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

store = open_store(sys.argv[1], int(sys.argv[2]))
store.write("small", BytesBody(b"x"), Attributes(), None)
before = peak()
first = store.write("a", Zeros(), Attributes(), None)
store.write("a", Zeros(), Attributes(), Precondition(first.etag))
with store.open("a") as opened:
    assert sum(map(len, opened.chunks())) == Zeros.size
print(peak() - before >> 10)
"""


def peak_mib(url: str, conditional_bytes: int) -> int:
    """Return the memory used by writing and reading 200 MiB, measured in a separate process."""
    command = [sys.executable, "-c", PROGRAM, url, str(conditional_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
    assert done.returncode == 0, done.stderr[-2000:]
    print(url.partition(":")[0], conditional_bytes, done.stdout.strip(), "MiB")
    return int(done.stdout)
