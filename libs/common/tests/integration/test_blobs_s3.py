"""The bucket: the contract of every store, and what this one promises of bad moments, on a real server."""

import pytest

from antiphon_common.testing.suites.blobs import BlobsSuite


class TestS3Blobs(BlobsSuite):
    @pytest.fixture
    def blob_url(self, s3_url: str) -> str:
        return s3_url
