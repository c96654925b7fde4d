"""Lazy scenes: the same map from Dask, on threads, processes and workers that die."""

import os
import signal

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from test_scenes_predict import SCENE, X, Y, segmenter, windowed

from sklearn_geoal import LANDClassifier, NetClassifier
from sklearn_geoal.model_selection import LabeledStratifiedKFold
from sklearn_geoal.scenes import predict_scene

dask = pytest.importorskip("dask", reason="dask is not installed")
xarray = pytest.importorskip("xarray", reason="xarray is not installed")
distributed = pytest.importorskip("distributed", reason="distributed is not installed")


@pytest.fixture
def lazy():
    return xarray.DataArray(SCENE.read(), dims=("band", "y", "x")).chunk({"band": 2, "y": 20, "x": 31})


@pytest.mark.parametrize("block_size", [13, 40, 500])
@pytest.mark.parametrize("make", [lambda: windowed(LANDClassifier(random_state=0)), segmenter])
def test_a_lazy_scene_gives_the_same_map_lazily(lazy, make, block_size):
    estimator = make()
    outputs = ["label", "confidence", "probabilities"]
    maps, expected = (
        predict_scene(estimator, scene, outputs=outputs, block_size=block_size) for scene in (lazy, SCENE)
    )
    for name in outputs:
        assert maps[name].chunks is not None and maps[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(maps[name].values, expected[name].values)
        assert maps[name].attrs.get("classes") == expected[name].attrs.get("classes")


class Counting(LogisticRegression):
    """Writes a line where it is unpickled."""

    def __setstate__(self, state):
        super().__setstate__(state)
        with open(os.environ["COUNTED"], "a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")


def test_workers_one_of_which_dies(lazy, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTED", str(tmp_path / "counted"))
    model = windowed(Counting())
    expected = predict_scene(model, SCENE, block_size=10)
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 10}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        (tmp_path / "counted").unlink(missing_ok=True)
        maps = client.persist(predict_scene(model, lazy, block_size=10))
        distributed.wait(distributed.futures_of(maps)[:10])
        os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
        label = maps.label.values
    np.testing.assert_array_equal(label, expected.label.values)
    # 70 blocks, three workers with the one that came for the dead: not one copy a block
    assert len((tmp_path / "counted").read_text().split()) < 15


def test_grid_searches_on_workers_give_what_they_give_here(tmp_path):
    rows = SCENE.valid_rows()[::9]
    Z, y = X[rows], np.where(np.arange(len(rows)) % 3, -1, Y[rows])
    cv = LabeledStratifiedKFold(3)
    net = GridSearchCV(NetClassifier(max_epochs=2, random_state=0), {"hidden_units": [(4,), (8,)]}, cv=3)
    land = GridSearchCV(LANDClassifier(random_state=0), {"n_neighbors": [5, 10]}, cv=cv)
    searches = [(net, Z[y >= 0], y[y >= 0]), (land, Z, y)]
    here = [search.fit(*data).cv_results_["mean_test_score"] for search, *data in searches]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path)
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        import torch

        client.run(torch.set_num_threads, 1)
        with joblib.parallel_config(backend="dask"):
            there = [search.fit(*data).cv_results_["mean_test_score"] for search, *data in searches]
    np.testing.assert_array_equal(there, here)
