"""What `visavis bench serve` counts as a job that a killed server lost, and as an error."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the server needs the extra [serve]")
pytest.importorskip("psutil", reason="the measurement needs the extra [dev]")

from visavis.bench import serve
from visavis.bench.variants import write_variants


def test_only_a_job_that_was_running_and_went_on_is_not_lost() -> None:
    def went(restarts: int, **counts: int) -> bool:
        return serve._went_on({"state": "done", "restarts": restarts, "document": {"counts": counts}})

    assert went(1, added=30, unchanged=10)
    assert not went(0, added=30, unchanged=10) and not went(1, added=40) and not went(1, added=29, unchanged=10)
    assert not serve._went_on({"state": "failed", "restarts": 1, "document": None})


def test_a_connection_that_ends_without_an_answer_is_an_error() -> None:
    figure = serve._errors([{"response": {"status": status}} for status in (200, 500, 0, 503)])
    assert (figure.value, figure.n) == (2, 4)


def test_a_killed_server_goes_on_where_it_was(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "KILLS", 1)
    (tmp_path / "photos").mkdir()
    write_variants(tmp_path / "photos", serve.PHOTOS)
    figure = serve._killed(tmp_path, tmp_path / "photos")
    assert (figure.value, figure.n) == (0, 1)
