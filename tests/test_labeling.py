"""LabelingSession: nothing is lost or doubled, the learner is that of the labels, what was seen is exported."""

import json
import threading

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from test_scenes import CRS, TRANSFORM, write

from sklearn_geoal import DDALQueryStrategy, LANDClassifier, load
from sklearn_geoal.datasets import load_salinas_a
from sklearn_geoal.labeling import ConflictError, LabelingSession
from sklearn_geoal.labeling._journal import Journal
from sklearn_geoal.labeling._polygons import pixels_within
from sklearn_geoal.scenes import open_scene, predict_scene

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")

SHAPE = (14, 19)
NAMES = ["water", "forest", "fields"]


def make_scene(seed=0):
    """Three stripes of materials, (3, 14, 19), a hole in them, and their classes."""
    rng = np.random.RandomState(seed)
    truth = np.repeat([0, 1, 2], [6, 6, 7])[None].repeat(SHAPE[0], axis=0)
    bands = np.moveaxis(np.eye(3)[truth] * 5 + rng.randn(*SHAPE, 3) / 2, -1, 0).astype(np.float32)
    bands[:, 5:7, 3:5] = np.nan
    return bands, truth


BANDS, TRUTH = make_scene()
HOLE = 5 * SHAPE[1] + 3


@pytest.fixture
def session(tmp_path):
    session = LabelingSession(BANDS, classes=NAMES, folder=tmp_path / "labels")
    yield session
    session.close()


def answer_by_truth(session, n, truth=TRUTH):
    while len(session.labels) < n:
        query = session.next()
        label = int(truth.flat[query.pixel])
        session.answer(query.pixel, label) if label >= 0 else session.skip(query.pixel)


def reopened(session, **params):
    session.close()
    return LabelingSession(BANDS, folder=session.folder, **params)


@pytest.mark.parametrize(
    "learner",
    [
        None,
        LANDClassifier(propagation="forest", random_state=0),
        make_pipeline(Normalizer(), LANDClassifier(random_state=0)),
        DDALQueryStrategy(LogisticRegression(), embedding="input", random_state=0),
    ],
    ids=["default", "forest", "pipeline", "ddal"],
)
def test_a_few_answers_make_a_map(learner, tmp_path):
    if learner is not None and hasattr(learner, "steps"):
        bands = np.nan_to_num(BANDS, nan=1)  # a Normalizer takes no NaN
    else:
        bands = BANDS
    session = LabelingSession(bands, learner, NAMES, tmp_path)
    assert session.next().why == "exploring" or isinstance(learner, DDALQueryStrategy)
    assert (session.map() == -1).all() and np.isnan(session.uncertainty()).all()
    answer_by_truth(session, 12)
    valid = ~np.isnan(bands).any(axis=0)
    assert (session.map()[~valid] == -1).all()
    # BANDS of the border of two stripes are mixed by the window
    assert (session.map() == TRUTH)[valid].mean() > 0.85
    uncertainty = session.uncertainty()
    assert (np.isnan(uncertainty) == ~valid).all() and uncertainty[valid].min() >= 0 and uncertainty[valid].max() <= 1
    session.close()


def test_spectra_with_holes_are_mapped_by_default(tmp_path):
    rng = np.random.RandomState(0)
    bands = np.abs(rng.randn(3, 12))[TRUTH].transpose(2, 0, 1) * rng.uniform(0.5, 2, size=SHAPE)
    bands += 0.02 * rng.randn(*bands.shape)
    bands[4, 5:7, 3:5] = np.nan
    session = LabelingSession(bands, classes=NAMES, folder=tmp_path)
    answer_by_truth(session, 6)
    valid = ~np.isnan(bands).any(axis=0)
    assert (session.map()[~valid] == -1).all() and (session.map() == TRUTH)[valid].mean() > 0.95
    paths = session.export()
    assert (predict_scene(load(paths.model), bands, outputs="label").label.values != 0).sum() == valid.sum()
    session.close()


def test_the_learner_is_that_of_the_labels_alone(session, tmp_path):
    answer_by_truth(session, 5)
    expected, uncertainty, query = session.map(), session.uncertainty(), session.next()
    session.answer(0, "fields")
    session.map()
    session.undo()
    session.skip(query.pixel)
    session.undo()
    np.testing.assert_array_equal(session.map(), expected)
    np.testing.assert_array_equal(session.uncertainty(), uncertainty)
    assert session.next() == query
    other = LabelingSession(BANDS, classes=NAMES, folder=tmp_path / "other")
    for pixel, label in reversed(session.labels.items()):
        other.answer(pixel, label)
    np.testing.assert_array_equal(other.uncertainty(), uncertainty)
    other.close()


def random_step(session, rng):
    """Do something at random; False if there was nothing to do it to."""
    pixel = int(rng.choice(np.flatnonzero(~np.isnan(BANDS).any(axis=0).ravel())))
    label = int(rng.randint(len(session.classes)))
    steps = {
        "answer": 0.3, "query": 0.1, "skip": 0.15, "add": 0.1,
        "undo": 0.2, "rename": 0.05, "class": 0.02, "color": 0.08,
    }  # fmt: skip
    do = rng.choice(list(steps), p=list(steps.values()))
    if do == "answer":
        session.answer(pixel, label)
    elif do == "query" and (query := session.next()) is not None:
        session.answer(query.pixel, label)
    elif do == "skip":
        session.skip(pixel)
    elif do == "add":
        session.add(label, pixels=rng.choice(np.arange(20, 60), 5))
    elif do == "undo" and session.history:
        session.undo()
    elif do == "rename":
        session.rename(label, f"class {rng.randint(10**9)}")
    elif do == "class":
        session.add_class(f"class {rng.randint(10**9)}")
    elif do == "color":
        session.recolor(label, f"#{rng.randint(16**6):06x}")


def test_a_thousand_steps_and_kills_lose_and_double_nothing(tmp_path):
    rng = np.random.RandomState(0)
    session = LabelingSession(BANDS, classes=NAMES, folder=tmp_path)
    journal = tmp_path / "journal.jsonl"
    n_kills, known = 0, {journal.stat().st_size: session.state()}  # by the size of the journal
    for _ in range(1000):
        before = session.state()
        random_step(session, rng)
        if session.state() != before:
            size = journal.stat().st_size
            known[size] = session.state()
        if rng.rand() < 0.05:
            n_kills += 1
            session.close()
            size = journal.stat().st_size
            cut = int(rng.randint(0, size + 1) if rng.rand() < 0.1 else rng.randint(max(0, size - 400), size + 1))
            content = journal.read_bytes()
            journal.write_bytes(content[:cut])
            whole = content[:cut].rfind(b"\n") + 1
            session = LabelingSession(BANDS, folder=tmp_path)
            if whole in known:
                assert session.state() == known[whole]
            known = {size: state for size, state in known.items() if size <= whole}
            # each line once and none beside: numbers run from 1 without a gap
            lines = [json.loads(line) for line in journal.read_bytes().splitlines()]
            assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
            assert journal.read_bytes().startswith(content[:whole])
            for name in NAMES[len(session.classes) :]:
                session.add_class(name)
            known[journal.stat().st_size] = session.state()
    assert n_kills > 30
    maps, expected = (session.map(), session.uncertainty(), session.next()), session.state()
    session = reopened(session)
    assert session.state() == expected
    np.testing.assert_array_equal(session.map(), maps[0])
    np.testing.assert_array_equal(session.uncertainty(), maps[1])
    assert session.next() == maps[2]
    session.close()


def test_labels_are_what_a_slow_replay_of_the_history_says(session):
    rng = np.random.RandomState(1)
    for _ in range(200):
        random_step(session, rng)
        labels = {}
        for action in session.history:
            labels.update(dict.fromkeys(action["pixels"], action["class"]))
        assert session.state()["labels"] == sorted(labels.items())
    assert session.skipped == sorted(pixel for pixel, label in labels.items() if label is None)


def test_a_damaged_line_in_the_middle_is_an_error_and_stays(session):
    answer_by_truth(session, 2)
    session.close()
    path = session.folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = b'{"seq": 2, "do\n'
    path.write_bytes(b"".join(lines))
    with pytest.raises(ValueError, match=r"Line 2 of .*journal.jsonl is damaged"):
        LabelingSession(BANDS, folder=session.folder)
    assert path.read_bytes() == b"".join(lines)


def test_an_answer_that_cannot_be_written_does_not_count(session, monkeypatch):
    answer_by_truth(session, 2)
    before, content = session.state(), (session.folder / "journal.jsonl").read_bytes()

    def full(_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            session.answer(0, "water")
    assert session.state() == before
    assert (session.folder / "journal.jsonl").read_bytes() == content
    session.answer(0, "water")
    assert reopened(session).labels[0] == "water"


def test_two_sessions_of_one_folder_are_refused(session):
    with pytest.raises(OSError, match="open in another process"):
        Journal(session.folder / "journal.jsonl")
    session.close()
    Journal(session.folder / "journal.jsonl").close()


def test_another_scene_is_refused(session):
    session.close()
    with pytest.raises(ValueError, match="labels of another scene"):
        LabelingSession(BANDS[:2], folder=session.folder)
    reopened(session).close()  # the lock was let go


def test_what_came_meanwhile_is_not_overwritten(session):
    seen = session.state()["seq"]
    session.answer(7, "water", seen=seen)
    with pytest.raises(ConflictError, match="labelled 'water' meanwhile"):
        session.answer(7, "forest", seen=seen)
    with pytest.raises(ConflictError, match="from another window"):
        session.undo(seen=seen)
    session.answer(8, "forest", seen=seen)
    session.answer(7, "forest", seen=session.state()["seq"])
    assert session.labels == {7: "forest", 8: "forest"}


@pytest.mark.parametrize(
    "wrong, error, match",
    [
        (lambda s: s.answer(10**6, "water"), IndexError, "pixel"),
        (lambda s: s.answer(-1, "water"), IndexError, "pixel"),
        (lambda s: s.answer(0, "lava"), ValueError, "no class 'lava'"),
        (lambda s: s.answer(0, 3), ValueError, "no class 3"),
        (lambda s: s.answer(HOLE, "water"), ValueError, "no value"),
        (lambda s: s.skip(HOLE), ValueError, "no value"),
        (lambda s: s.add("water", pixels=[HOLE]), ValueError, "1 to 100000 pixels"),
        (lambda s: s.add("water"), ValueError, "either"),
        (lambda s: s.add("water", polygon=[(0, 0), (1, 1)]), ValueError, "polygon"),
        (lambda s: s.add_class("water"), ValueError, "already"),
        (lambda s: s.add_class(" \n"), ValueError, "name of a class"),
        (lambda s: s.add_class("lava", "red"), ValueError, "colour"),
        (lambda s: s.rename("water", "forest"), ValueError, "already"),
        (lambda s: s.undo(), ValueError, "nothing to undo"),
        (lambda s: s.export(), ValueError, "no label"),
    ],
)
def test_wrong_input_is_refused_and_leaves_all_as_it_was(session, wrong, error, match):
    before, content = session.state(), (session.folder / "journal.jsonl").read_bytes()
    with pytest.raises(error, match=match):
        wrong(session)
    assert session.state() == before and (session.folder / "journal.jsonl").read_bytes() == content


def test_a_learner_without_query_is_refused(tmp_path):
    with pytest.raises(TypeError, match="no method 'query'"):
        LabelingSession(BANDS, KMeans(2), folder=tmp_path)


def test_polygon_holds_the_centres_within():
    corners = [(1.2, 0.4), (7.9, 1.1), (6.0, 5.7), (3.1, 2.2), (0.3, 4.9)]
    yy, xx = np.mgrid[:8, :10] + 0.5
    inside = np.zeros((8, 10), dtype=bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        with np.errstate(divide="ignore"):
            inside ^= ((y0 > yy) != (y1 > yy)) & (xx < (x1 - x0) * (yy - y0) / (y1 - y0) + x0)
    np.testing.assert_array_equal(pixels_within(corners, (8, 10)), np.flatnonzero(inside))
    np.testing.assert_array_equal(pixels_within([(0, 0), (10, 0), (10, 8), (0, 8)], (8, 10)), np.arange(80))
    assert not len(pixels_within([(20, 20), (30, 20), (30, 30)], (8, 10)))
    assert not len(pixels_within([(-20, -20), (-30, -20), (-30, -30)], (8, 10)))


def test_polygon_leaves_out_what_has_no_value(session):
    session.add("water", polygon=[(2, 4), (6, 4), (6, 8), (2, 8)])
    assert len(session.labels) == 12 and HOLE not in session.labels


def test_neither_skipped_pixels_nor_those_beside_them_are_asked_for(session):
    query, places = session.next(), []
    while query is not None:
        assert all(max(abs(query.row - row), abs(query.column - column)) > 3 for row, column in places)
        places.append((query.row, query.column))
        session.skip(query.pixel)
        query = session.next()
    assert len(places) > 4


def test_only_candidates_are_asked_for(tmp_path):
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:9, 8] = True
    session = LabelingSession(BANDS, classes=NAMES, folder=tmp_path, candidates=mask)
    for _ in range(6):
        query = session.next()
        assert mask[query.row, query.column]
        session.answer(query.pixel, "water")
    assert session.next() is None
    session.close()
    for wrong in (mask.T, mask[1:]):
        with pytest.raises(ValueError, match="candidates is a map of .* pixels, but the scene has 14 x 19"):
            LabelingSession(BANDS, classes=NAMES, folder=tmp_path / "other", candidates=wrong)


def test_labels_stand_in_the_map(session):
    answer_by_truth(session, 6)
    session.answer(5, "fields")
    assert session.map().flat[5] == 2


def test_progress_counts_and_judges_by_answers_not_taught_yet(session):
    answer_by_truth(session, 20)
    session.skip(3)
    progress = session.progress()
    assert progress.n_labels == 20 and progress.n_skipped == 1 and sum(progress.counts) == 20
    guesses = [action for action in session.history if "guess" in action]
    assert progress.n_judged == len(guesses) < 20  # the first answers could not be guessed
    assert progress.accuracy == np.mean([action["guess"] == action["class"] for action in guesses])
    low, high = progress.accuracy_interval
    assert 0 <= low < progress.accuracy <= high <= 1
    assert session.progress() == reopened(session).progress()


def test_stable_map_is_said_to_be(session):
    answer_by_truth(session, 25)
    session.next()
    changed = session.progress().changed
    assert session.progress().stable == (np.mean(changed[-10:]) < 0.005 and max(changed[-3:]) <= 0.005)
    for pixel in range(12):
        session.skip(pixel)
        session.update()
    assert session.progress().stable == (np.mean(changed[-10:]) < 0.005 and max(changed[-3:]) <= 0.005)
    session.add("water", polygon=[(12, 0), (19, 0), (19, 14), (12, 14)])
    session.next()
    assert session.progress().changed[-1] > 0.1 and not session.progress().stable and not session.progress().hint


def test_pixels_that_the_learner_does_not_see_follow_the_nearest(tmp_path):
    session = LabelingSession(BANDS, classes=NAMES, folder=tmp_path, n_pixels=60)
    answer_by_truth(session, 10)
    valid = ~np.isnan(BANDS).any(axis=0)
    assert (session.map() == TRUTH)[valid].mean() > 0.85
    unseen = np.setdiff1d(np.flatnonzero(valid), session._model.rows)[:5]
    session.add("fields", pixels=unseen)
    assert (session.map().flat[unseen] == 2).all()
    session.close()


def test_export_is_what_was_seen(tmp_path):
    write(tmp_path / "scene.tif", np.nan_to_num(BANDS, nan=-99), nodata=-99)
    session = LabelingSession(tmp_path / "scene.tif", classes=NAMES, folder=tmp_path / "labels")
    answer_by_truth(session, 12)
    session.rename("water", "sea & <lake>")
    session.recolor("fields", "#ABCDEF")
    paths = session.export()
    with rasterio.open(paths.map) as file:
        values, names = file.read(1), json.loads(file.tags()["classes"])
        assert file.crs == CRS and file.transform == TRANSFORM
        numbers = {name: int(number) for number, name in names.items()}
        assert file.colormap(1)[numbers["fields"]][:3] == (0xAB, 0xCD, 0xEF)
    for place, known in enumerate(session.classes):
        np.testing.assert_array_equal(values == numbers[known["name"]], session.map() == place)
    with rasterio.open(paths.uncertainty) as file:
        np.testing.assert_array_equal(file.read(1), session.uncertainty())
    import geopandas
    import pandas

    table = pandas.read_csv(paths.labels_csv)
    assert dict(zip(table["pixel"], table["class"], strict=True)) == session.labels
    points = geopandas.read_file(paths.labels_geojson).to_crs(CRS)
    scene = open_scene(tmp_path / "scene.tif")
    found = scene.coordinates_to_rows(np.column_stack([points.geometry.x, points.geometry.y]))
    assert dict(zip(found.tolist(), points["class"], strict=True)) == session.labels
    model = load(paths.model)
    maps = predict_scene(model, scene, outputs="label")
    assert (maps.label.values == values).mean() > 0.95
    session.close()


def test_an_export_never_replaces_its_scene(tmp_path):
    path = write(tmp_path / "map.tif", BANDS, nodata=np.nan)
    before = path.read_bytes()
    session = LabelingSession(path, classes=NAMES, folder=tmp_path)
    answer_by_truth(session, 3)
    with pytest.raises(ValueError, match="map.tif is a file that the scene is read from"):
        session.export()
    assert path.read_bytes() == before and not (tmp_path / "labels.csv").exists()
    session.export(tmp_path / "elsewhere")
    session.close()


def test_export_of_a_scene_without_a_place(session):
    answer_by_truth(session, 6)
    paths = session.export(session.folder / "files")
    features = json.loads(paths.labels_geojson.read_text())["features"]
    assert features[0]["geometry"]["coordinates"][1] < 0
    assert all(path.exists() for path in paths.values())


def test_answers_of_several_threads_all_count(session):
    pixels = np.flatnonzero(~np.isnan(BANDS).any(axis=0).ravel())[:40]

    def answer(part):
        for pixel in part.tolist():
            session.answer(pixel, int(TRUTH.flat[pixel]))
            session.update()

    threads = [threading.Thread(target=answer, args=(pixels[i::4],)) for i in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(session.labels) == pixels.tolist()
    expected = session.state()
    assert reopened(session).state() == expected


def test_salinas_is_mapped_by_twenty_answers(data_home, tmp_path):
    data = load_salinas_a(data_home=data_home)
    scene = np.moveaxis(data.data.reshape(*data.scene_shape, -1), -1, 0)
    known = data.target >= 0
    session = LabelingSession(scene, classes=data.target_names.tolist(), folder=tmp_path, candidates=known)
    answer_by_truth(session, 20, data.target)
    assert not session.skipped
    assert (session.map().ravel() == data.target)[known].mean() >= 0.95
    session.close()
