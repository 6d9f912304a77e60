import pytest

pytest.register_assert_rewrite("tests.batch.store_contract")
