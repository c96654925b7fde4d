"""The command line does what the functions do, and says in one line what is wrong."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from test_scenes import write

import sklearn_geoal
from sklearn_geoal import LANDClassifier
from sklearn_geoal.__main__ import main
from sklearn_geoal.preprocessing import ValidRows
from sklearn_geoal.scenes import open_scene, predict_scene

geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")


@pytest.fixture
def scene(tmp_path):
    bands = np.random.RandomState(0).rand(2, 20, 25).astype(np.float32)
    bands[:, 3:6, 4:9] = -1
    return write(tmp_path / "in.tif", bands, nodata=-1, names=("a", "b"))


@pytest.fixture
def model(scene, tmp_path):
    X = open_scene(scene).to_rows()
    X = X[~np.isnan(X[:, 0])]
    fitted = LogisticRegression().fit(X, np.where(X[:, 0] > 0.5, "sea", "land"))
    sklearn_geoal.save(fitted, tmp_path / "model.geoal")
    return tmp_path / "model.geoal"


def test_predict(scene, model, tmp_path, capsys):
    target = tmp_path / "out.tif"
    assert main(["predict", str(model), str(scene), str(target), "--outputs", "label,probabilities", "--quiet"]) == 0
    assert capsys.readouterr().out.split() == [str(target), str(tmp_path / "out_probabilities.tif")]
    expected = predict_scene(sklearn_geoal.load(model), scene, tmp_path / "expected.tif", outputs="label")
    assert target.read_bytes() == expected.label.read_bytes()


def test_sample_and_queries(scene, tmp_path, capsys):
    assert main(["sample", str(scene), str(tmp_path / "sample.gpkg"), "-n", "30", "--bands", "a,1", "--quiet"]) == 0
    assert len(geopandas.read_file(tmp_path / "sample.gpkg")) == 30
    learner = make_pipeline(StandardScaler(), ValidRows(LANDClassifier(random_state=0))).fit(
        open_scene(scene).to_rows()
    )
    sklearn_geoal.save(learner, tmp_path / "land.geoal")
    assert (
        main(["queries", str(tmp_path / "land.geoal"), str(scene), str(tmp_path / "q.gpkg"), "-n", "7", "--quiet"]) == 0
    )
    points = geopandas.read_file(tmp_path / "q.gpkg")
    assert (points["row"] * 25 + points["col"]).tolist() == learner[-1].query(7).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "none.geoal", "in.tif", "out.tif"], "none.geoal"),
        (["predict", "model.geoal", "none.tif", "out.tif"], "There is no file none.tif"),
        (["predict", "model.geoal", "in.tif", "out.tif", "--bands", "a"], "The scene has 1 bands"),
        (["predict", "model.geoal", "in.tif", "out.tif", "--outputs", "map"], "outputs must be some of"),
        (["queries", "model.geoal", "in.tif", "q.gpkg"], "model.geoal holds a LogisticRegression, which has no query"),
        (["predict", "model.geoal", "in.tif", "in.tif"], "in.tif is a file that the scene is read from"),
        (["sample", "in.tif", "q.csv"], "path must end in .geojson"),
    ],
)
def test_errors_are_one_line(scene, model, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--quiet"]) == 2
    printed = capsys.readouterr()
    assert not printed.out and message in printed.err and printed.err.count("\n") == 1
    with pytest.raises(Exception, match=message):
        main([*arguments, "--quiet", "--debug"])


def test_an_interrupt_is_one_line(scene, model, tmp_path, monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sklearn_geoal.__main__.predict_scene", interrupt)
    arguments = ["predict", str(model), str(scene), str(tmp_path / "out.tif"), "--quiet"]
    assert main(arguments) == 130
    assert capsys.readouterr().err == "sklearn_geoal predict: interrupted\n"
    with pytest.raises(KeyboardInterrupt):
        main([*arguments, "--debug"])


def test_it_runs_as_a_module():
    run = subprocess.run([sys.executable, "-m", "sklearn_geoal", "--help"], capture_output=True, text=True, check=True)
    assert all(command in run.stdout for command in ("predict", "sample", "queries"))
