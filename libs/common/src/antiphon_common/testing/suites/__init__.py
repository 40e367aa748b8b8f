"""One contract suite a port: a test module subclasses it and says by a fixture which adapter it is about.

class TestInproc(BusSuite):
    @pytest.fixture
    def bus_url(self, tmp_path): return f"inproc://{tmp_path}/bus.db"
"""
