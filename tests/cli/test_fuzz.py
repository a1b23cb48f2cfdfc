"""The short version of ``make fuzz``: mutated files are read or refused, and the watch sees what it must."""

import os
import pickle
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools"))
import fuzz


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    return fuzz.layouts(tmp_path_factory.mktemp("layouts"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
def test_mutated_files_are_read_or_refused(originals, tmp_path):
    assert len(originals) == 10
    outcomes, kinds = set(), set()
    for case in range(20):
        _, kind, content, packed = fuzz.mutated(originals, case)
        path = tmp_path / f"{case}{'.fits.gz' if packed else '.fits'}"
        path.write_bytes(content)
        outcomes.add(fuzz.examine(path, 1))
        kinds.add(kind)
    assert outcomes == {"read", "refused"}
    assert kinds == set(fuzz.MUTATIONS)


def test_a_case_is_a_number(originals):
    assert fuzz.mutated(originals, 7) == fuzz.mutated(originals, 7)
    assert fuzz.mutated(originals, 7) != fuzz.mutated(originals, 8)


def test_what_is_written_elsewhere_or_unpickled_is_seen(tmp_path):
    (tmp_path / "inside").mkdir()
    watch = fuzz.Watch(tmp_path / "inside")
    packed = pickle.dumps(Path("x"))
    watch.on = True
    (tmp_path / "inside" / "a").write_text("a")
    (tmp_path / "outside").write_text("a")
    pickle.loads(packed)
    os.mkdir(tmp_path / "folder")
    watch.on = False
    assert [text.split()[0] for text in watch.seen] == ["opens", "pickle.find_class", "os.mkdir"]
